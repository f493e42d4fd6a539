"""Workers are killed repeatedly. A rebuild that makes progress finishes. A piece of work that kills
every worker ends the rebuild, and the message names the piece."""

import math
from dataclasses import dataclass

import pytest

from qdrant_rollouts.core.database.models import Deployment, EventRow
from qdrant_rollouts.core.services import Times
from tests.acceptance.conftest import Houses
from tests.acceptance.installation import BRISK, OPTIONS, Installation, blue, everywhere
from tests.acceptance.traps import KILL

PREEMPTED = "preempted"
POISONED = "poisoned"
#: More deaths than a step survives without progress.
KILLS = Times().crashes + 2
RECORDS = 2_000
#: Some of so many short texts are alike, which is not tested here.
VALIDATION = {
    **OPTIONS["validation"],
    "checks": {**OPTIONS["validation"]["checks"], "self_retrieval": False},
}


@dataclass(frozen=True)
class Seen:
    ends: dict[str, Deployment]
    deaths: dict[str, list[EventRow]]
    windows: list[int]


@pytest.fixture(scope="module")
def killed(houses: Houses) -> dict[str, Seen]:
    return everywhere(houses, kill_again_and_again)


@pytest.fixture
def seen(killed: dict[str, Seen], database: str) -> Seen:
    return killed[database]


def kill_again_and_again(house: Installation) -> Seen:
    house.drop_collections()
    house.write_documents("many.jsonl", RECORDS)
    house.make_live(PREEMPTED, POISONED)
    house.traps.set(PREEMPTED, "upsert.before", KILL, after=1)
    house.deploy(PREEMPTED, "many.jsonl", validation=VALIDATION)
    for number in range(KILLS):
        die(house, PREEMPTED, again=number + 1 < KILLS, after=1)
    ends = {PREEMPTED: house.ended(PREEMPTED)}
    windows = []
    house.traps.set(POISONED, "upsert.before", KILL)
    house.deploy(POISONED)
    for number in range(Times().crashes):
        die(house, POISONED, again=number + 1 < Times().crashes)
        row = house.deployment(POISONED)
        assert row is not None
        windows.append(int(row.steps[1].state["window"]))
    ends[POISONED] = house.ended(POISONED)
    return Seen(ends, {alias: deaths(house, alias) for alias in ends}, windows)


def die(house: Installation, alias: str, *, again: bool, after: int = 0) -> None:
    """Waits for a death, sets the next trap, and lets time pass until the lease expires."""
    house.sprung(alias, "upsert.before")
    if again:
        house.traps.set(alias, "upsert.before", KILL, after=after)
    clock = house.folder / "clock"
    moved = float(clock.read_text()) if clock.exists() else 0.0
    new = clock.with_suffix(".new")
    new.write_text(str(moved + math.ceil(BRISK["lease"]) + 1))
    new.rename(clock)


def deaths(house: Installation, alias: str) -> list[EventRow]:
    return [event for event in house.events(alias) if event.event == "populate.worker_died"]


def test_a_rebuild_whose_workers_are_killed_again_and_again_gets_to_its_end(
    house: Installation, seen: Seen
):
    row = seen.ends[PREEMPTED]
    assert row.status == "live", row.message
    assert house.count(row.green) == RECORDS
    assert house.aliases()[PREEMPTED] == row.green


def test_no_record_that_was_saved_is_loaded_again(house: Installation, seen: Seen):
    """Each death only costs the window that was being loaded."""
    assert sum(entry["points"] for entry in house.journal(PREEMPTED)) == RECORDS


def test_each_death_is_an_event(seen: Seen):
    assert len(seen.deaths[PREEMPTED]) == KILLS
    assert {event.detail.split(": ")[-1] for event in seen.deaths[PREEMPTED]} == {
        f"1 of {Times().crashes} without progress between them"
    }


def test_a_piece_that_kills_every_worker_ends_the_rebuild_and_is_named(
    house: Installation, seen: Seen
):
    row = seen.ends[POISONED]
    assert row.status == "rolled_back"
    assert (
        f"died or was stopped {Times().crashes} times in the middle of the same piece"
        in row.message
    )
    assert "from record 1 on, 1 at a time" in row.message
    assert house.aliases()[POISONED] == blue(POISONED)
    assert row.green not in house.collections()
    assert len(seen.deaths[POISONED]) == Times().crashes


def test_the_piece_is_made_smaller_after_each_death(seen: Seen):
    assert seen.windows == sorted(seen.windows, reverse=True)
    assert seen.windows[-1] == 1
