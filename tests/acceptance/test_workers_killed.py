"""Workers are killed and stopped in every step and between state and message: the results of
``night``."""

from collections.abc import Callable

import pytest

from tests.acceptance.installation import RECORDS, blue, named
from tests.acceptance.night import KILLED, STOPPED, Night

#: The issue's limit.
RECOVERED = 40.0


Nights = dict[str, Night]


@pytest.fixture
def spent(nights: Nights, database: str) -> Night:
    return nights[database]


# --- killed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", KILLED)
def test_a_worker_killed_anywhere_costs_no_point_and_the_alias_moves_once(spent: Night, place: str):
    outcome = spent.killed[place].result()
    assert outcome.status == "live", outcome.message
    assert outcome.count == RECORDS
    assert outcome.served_by == outcome.green
    assert outcome.moves == [blue(named("killed", place)), outcome.green]
    assert outcome.events.count("alias.switched") == 1
    for step in ("create", "populate", "validate", "catch_up", "switch", "soak"):
        assert outcome.events.count(f"{step}.done") == 1


@pytest.mark.parametrize("place", KILLED)
def test_a_deployment_whose_worker_was_killed_moves_again_within_40_seconds(
    spent: Night, place: str
):
    assert spent.killed[place].result().recovered <= RECOVERED


def test_how_long_recovery_took_is_told(nights: Nights, figure: Callable[[str], None]):
    for database, night in nights.items():
        for place, outcome in night.killed.items():
            recovered = outcome.result().recovered
            figure(f"{database:9} kill -9 at {place:22} claimed again after {recovered:5.1f} s")
    assert all(night.killed for night in nights.values())


def test_a_collection_that_was_made_before_its_worker_was_killed_is_not_dropped_to_be_made_again(
    spent: Night,
):
    """A worker that is stopped before that drop could carry it out late, when the collection
    serves."""
    journal = spent.killed["create.after"].result().journal
    assert (journal.count("create"), journal.count("drop")) == (1, 0)


# --- stopped --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", STOPPED)
def test_what_a_worker_stopped_past_its_lease_writes_late_is_rejected(spent: Night, place: str):
    late = spent.stopped[place].result()
    assert late.before["status"] == "live"
    assert late.before["count"] == RECORDS
    assert late.before["served_by"] == late.before["green"]
    assert late.after == late.before
    assert late.after["events"].count("alias.switched") == 1
    assert "fenced: turn" in late.said


def test_a_switch_sent_after_an_abort_by_a_worker_that_was_stopped_does_not_move_the_alias(
    spent: Night,
):
    late = spent.aborted.result()
    assert late.before["status"] == "rolled_back"
    assert late.before["count"] is None
    assert late.before["served_by"] == blue("aborted")
    assert late.after == late.before
    assert "fenced: turn" in late.said
