"""One index filled by 1, 2, 4 and 8 children of a worker, with an embedding endpoint on loopback
that answers each batch after 250 ms.

Everything is real: Celery's worker processes, Redis, Qdrant and the database. Each child sends one
request at a time, so that the children are compared and not their threads. What is compared are the
seconds from the start of the step ``populate`` until the new collection has every point. Beside
them are those of the whole step, which then looks at the finished index for at least two seconds,
however many children there are.
"""

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.results import Result, Size, ratio_of_at_least
from tests.acceptance.installation import OPTIONS, Installation
from tests.endpoint import Endpoint

#: Batches of 16 texts.
RECORDS = {Size.FULL: 8192, Size.CI: 4096, Size.SMALLEST: 128}
CHILDREN = {Size.FULL: (1, 2, 4, 8), Size.CI: (1, 2, 4, 8), Size.SMALLEST: (1, 2)}
ROUNDS = {Size.FULL: 3, Size.CI: 1, Size.SMALLEST: 1}
#: The turns are as long as in the product; only the looks at the index are not waited for.
TIMES = {"ready_look": 0.1}
ANSWER = 0.25
BATCH = 16
#: Of the speed that so many children would have if nothing were lost.
LEAST = 0.85
_VALIDATION = {
    **OPTIONS["validation"],
    "checks": {**OPTIONS["validation"]["checks"], "self_retrieval": False},
}


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds until every point was there, and of the whole step."""

    filling: float
    step: float


def run(size: Size) -> list[Result]:
    taken: dict[int, list[Taken]] = {children: [] for children in CHILDREN[size]}
    endpoint = Endpoint()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            Installation(
                Path(folder) / "house", "postgres", times=TIMES, tick=1.0, children=max(taken)
            ) as house,
        ):
            house.write_documents("many.jsonl", RECORDS[size])
            provider = {"url": endpoint.url, "batch": BATCH, "concurrency": 1}
            house.declare({}, providers={"loop": provider})
            house.run()
            endpoint.seconds = ANSWER
            for number in range(ROUNDS[size]):
                for children, fillings in taken.items():
                    alias = f"index-{number}-{children}"
                    fillings.append(_fill(house, alias, RECORDS[size], children))
    finally:
        endpoint.close()
    alone = taken.pop(1)
    return [
        _compare(RECORDS[size], children, seconds, alone) for children, seconds in taken.items()
    ]


def _fill(house: Installation, alias: str, records: int, children: int) -> Taken:
    house.make_live(alias)
    house.deploy(
        alias,
        "many.jsonl",
        embedding={"model": "loop:words-64", "text": "{text}"},
        populate={"parallel": children},
        validation=_VALIDATION,
    )

    def has_every_point() -> datetime | None:
        row = house.deployment(alias)
        if row is None or row.green not in house.collections():
            return None
        return datetime.now(UTC) if house.count(row.green) >= records else None

    filled_at = house.until(has_every_point, 900, f"{alias} has every point")
    row = house.ended(alias, 900)
    if row.status != "live":
        raise RuntimeError(f"{alias}: {row.message}")
    step = next(one for one in row.steps if one.name == "populate")
    assert step.started_at is not None
    assert step.finished_at is not None
    return Taken(
        (filled_at - step.started_at).total_seconds(),
        (step.finished_at - step.started_at).total_seconds(),
    )


def _compare(records: int, children: int, taken: Sequence[Taken], alone: Sequence[Taken]) -> Result:
    mine, other = (statistics.median(one.filling for one in some) for some in (taken, alone))
    return ratio_of_at_least(
        f"{records:,} records by {children} children",
        _show(taken),
        f"{_show(alone)} by one child",
        other / mine,
        LEAST * children,
    )


def _show(taken: Sequence[Taken]) -> str:
    filling = statistics.median(one.filling for one in taken)
    step = statistics.median(one.step for one in taken)
    return f"{filling:.1f} s (the whole step {step:.1f} s)"
