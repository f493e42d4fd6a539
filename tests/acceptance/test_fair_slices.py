"""Indexes of very different size are filled at the same time by the same children: a small one does
not wait until the large ones are filled that were asked for before it."""

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tests.acceptance.installation import BRISK, OPTIONS, Installation
from tests.endpoint import Endpoint

#: Records of the smallest and of the largest index.
SMALLEST = 30
LARGEST = 4_000
#: Some of so many short texts are alike, which is not tested here.
VALIDATION = {
    **OPTIONS["validation"],
    "checks": {**OPTIONS["validation"]["checks"], "self_retrieval": False},
}


def sizes_of(indexes: int) -> list[int]:
    """Each is as many times as large as the one before."""
    growth = (LARGEST / SMALLEST) ** (1 / (indexes - 1))
    return [round(SMALLEST * growth**number) for number in range(indexes)]


def filled_at(house: Installation, alias: str) -> datetime:
    row = house.ended(alias, 600)
    assert row.status == "live", row.message
    moment = next(step for step in row.steps if step.name == "populate").finished_at
    assert moment is not None
    return moment


@pytest.mark.proof
def test_the_smallest_of_many_indexes_is_not_the_last_to_be_filled(
    tmp_path: Path, effort: Callable[[int, int], int], figure: Callable[[str], None]
):
    indexes = effort(0, 20)
    if not indexes:
        pytest.skip("it takes minutes; test_slices has the order of the turns")
    sizes = sizes_of(indexes)
    aliases = {size: f"of-{size}" for size in sizes}
    times = {**BRISK, "ready_look": 1.0}
    with (
        closing(Endpoint()) as endpoint,
        Installation(tmp_path / "house", "postgres", times=times, tick=1.0) as house,
    ):
        house.declare({}, providers={"slow": {"url": endpoint.url, "batch": 16, "concurrency": 1}})
        house.run()
        house.make_live(*aliases.values())
        endpoint.seconds = 0.1
        for size, alias in sorted(aliases.items(), reverse=True):
            house.write_documents(f"{alias}.jsonl", size)
            house.deploy(
                alias,
                f"{alias}.jsonl",
                embedding={"model": "slow:words-64", "text": "{text}"},
                populate={"parallel": 4},
                validation=VALIDATION,
            )
        ends = {size: filled_at(house, alias) for size, alias in aliases.items()}

    order = sorted(ends, key=lambda size: ends[size])
    figure(f"{len(sizes)} indexes at once, filled in this order: {', '.join(map(str, order))}")
    assert order[-1] != SMALLEST
