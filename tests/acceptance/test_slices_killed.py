"""Four children fill one index, and are killed again and again in the middle of a window: each
record is there once, and a death costs no more than the window that it interrupts."""

import math
import random
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.slice_rows import SliceRow
from tests.acceptance.installation import BRISK, OPTIONS, Installation
from tests.acceptance.traps import KILL

RECORDS = 3_000
CHILDREN = 4
KILLS = 5
#: Windows of this size at most; see ``core.deployments.steps.loading``.
WINDOW = 1024
PLACES = ("upsert.before", "upsert.after")
#: Some of so many short texts are alike, which is not tested here.
VALIDATION = {
    **OPTIONS["validation"],
    "checks": {**OPTIONS["validation"]["checks"], "self_retrieval": False},
}


def slices_of(house: Installation, deployment: str) -> list[SliceRow]:
    with Session(house.engine) as session:
        mine = SliceRow.deployment_id == deployment
        return list(session.scalars(select(SliceRow).where(mine)))


def expire_leases(house: Installation) -> None:
    """Moves the database's clock on. Writes the file in one act, so a reader never finds half of
    it."""
    clock = house.folder / "clock"
    moved = float(clock.read_text()) if clock.exists() else 0.0
    new = clock.with_suffix(".new")
    new.write_text(str(moved + math.ceil(BRISK["lease"]) + 1))
    new.rename(clock)


@pytest.mark.proof
def test_killed_children_of_one_index_lose_and_double_nothing(
    house: Installation,
    effort: Callable[[int, int], int],
    figure: Callable[[str], None],
    database: str,
):
    house.drop_collections()
    house.write_documents("sliced.jsonl", RECORDS)
    seeds = effort(2, 25)
    extra = 0
    for seed in range(seeds):
        chance = random.Random(seed)
        alias = f"sliced-{seed}"
        place = chance.choice(PLACES)
        house.make_live(alias)
        house.traps.set(alias, place, KILL, after=chance.randrange(3))
        deployment = house.deploy(
            alias, "sliced.jsonl", populate={"parallel": CHILDREN}, validation=VALIDATION
        )
        for kill in range(KILLS):
            house.sprung(alias, place)
            if kill + 1 < KILLS:
                place = chance.choice(PLACES)
                house.traps.set(alias, place, KILL, after=chance.randrange(2))
            expire_leases(house)
        row = house.ended(alias)
        assert row.status == "live", row.message
        assert house.count(row.green) == RECORDS
        filled = next(step for step in row.steps if step.name == "populate").output
        assert filled["written"] == RECORDS
        assert "filled again" not in filled["note"]
        slices = slices_of(house, deployment)
        assert len(slices) == CHILDREN
        assert sum(one.unsure for one in slices) >= KILLS
        again = sum(entry["points"] for entry in house.journal(alias)) - RECORDS
        assert 0 <= again <= KILLS * WINDOW
        extra += again
    figure(
        f"slices, {database}: {seeds} rebuilds by {CHILDREN} children, {KILLS} of them killed in "
        f"each: {RECORDS} records there once, {extra / seeds:.0f} written again"
    )
