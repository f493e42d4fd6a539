"""What the journal's ledger promises, in the database and in the memory of the model check."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from qdrant_rollouts.adapters.database import open_sessions
from qdrant_rollouts.core.database.journal_rows import Gate, Phase
from qdrant_rollouts.core.errors import Broken, LeaseLost
from qdrant_rollouts.core.journal.bounds import BOUNDS
from qdrant_rollouts.core.journal.ledger import Ledger, Opened
from qdrant_rollouts.core.journal.sql_ledger import SqlLedger
from qdrant_rollouts.core.journal.states import WriteState
from tests.databases import reopen_engine
from tests.journal_ledger import START, MemoryLedger
from tests.world import HandClock

DEAD = BOUNDS.send_within + BOUNDS.answer + 1


@dataclass
class Case:
    """An alias ``docs`` on ``blue``, to be rebuilt as ``green``."""

    ledger: Ledger
    move: Callable[[float], None]

    def announce(self) -> None:
        self.ledger.announce_rebuild("docs", "blue", "green", ours)

    def capture(self) -> None:
        self.announce()
        assert self.ledger.begin_capture("docs", ours) == []

    def write(self, *ids: int) -> int:
        entry = self.open(*ids).entry
        assert entry is not None
        return entry

    def open(self, *ids: Any) -> Opened:
        state = self.ledger.read_state("docs")
        return self.ledger.open_entry(state or WriteState("docs", "blue"), ids)

    def select(self) -> tuple[set[int], float]:
        selection = self.ledger.select_entries("docs", ours)
        return set(selection.ids), selection.quiet

    def switch(self) -> None:
        self.ledger.close_gate("docs", ours)
        assert self.ledger.decide_switch("docs", ours) == ""
        self.ledger.finish_switch("docs", "green", ours)


def seconds_since_start(clock: HandClock) -> float:
    return (clock.moment - START).total_seconds()


def ours(session: object) -> None:
    """A turn that was not taken over."""


def lost(session: object) -> None:
    raise LeaseLost("taken over")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    clock = HandClock(START)
    if request.param == "memory":
        yield Case(MemoryLedger(partial(seconds_since_start, clock)), clock.move)
        return
    engine = reopen_engine(request.getfixturevalue(f"ready_{request.param}_url"))
    yield Case(SqlLedger(open_sessions(engine), clock), clock.move)
    engine.dispose()


# --- writers --------------------------------------------------------------------------------------


def test_no_row_is_written_for_an_alias_without_a_rebuild(case):
    assert case.open(1).entry is None
    case.capture()
    case.ledger.end_rebuild("docs", ours)
    opened = case.open(1)
    assert opened.entry is None
    assert opened.state.phase is Phase.IDLE


def test_a_capture_waits_for_each_writer_that_has_a_lease(case):
    case.ledger.renew_lease("a", {})
    case.ledger.renew_lease("b", {})
    case.announce()
    assert case.ledger.begin_capture("docs", ours) == ["a", "b"]
    version = case.ledger.renew_lease("a", {})["docs"].version
    assert case.ledger.begin_capture("docs", ours) == ["a", "b"], "it knows, but did not confirm"
    case.ledger.renew_lease("a", {"docs": version})
    assert case.ledger.begin_capture("docs", ours) == ["b"]
    case.ledger.withdraw_writer("b")
    assert case.ledger.begin_capture("docs", ours) == []
    assert case.ledger.read_state("docs").phase is Phase.CAPTURING


def test_a_capture_waits_for_no_writer_whose_lease_has_run_out(case):
    case.ledger.renew_lease("a", {})
    case.announce()
    case.move(BOUNDS.lease + 0.1)
    assert case.ledger.begin_capture("docs", ours) == []


def test_what_was_confirmed_for_an_earlier_rebuild_does_not_count(case):
    case.capture()
    version = case.ledger.read_state("docs").version
    case.ledger.end_rebuild("docs", ours)
    case.ledger.renew_lease("a", {"docs": version})
    case.announce()
    assert case.ledger.begin_capture("docs", ours) == ["a"]


def test_a_write_that_counts_as_lost_is_not_acknowledged_and_gets_a_row(case):
    case.capture()
    entry = case.write(1)
    case.move(DEAD)
    assert case.select() == (set(), 0), "it may still arrive"
    assert not case.ledger.settle_entry("docs", entry, [1])
    assert case.select() == ({1}, 0), "the row that it got when it ended"


def test_a_write_without_an_answer_is_read_again_after_the_quarantine(case):
    case.capture()
    case.ledger.mark_unknown(case.write(1))
    assert case.select() == (set(), 0)
    lag = case.ledger.measure_lag("docs")
    assert (lag.unknown, lag.unknown_for) == (1, BOUNDS.quarantine)
    case.move(20)
    assert case.ledger.measure_lag("docs").unknown_for == BOUNDS.quarantine - 20
    case.move(BOUNDS.quarantine - 19)
    assert case.select() == ({1}, 0)
    lag = case.ledger.measure_lag("docs")
    assert (lag.unknown, lag.unknown_for) == (0, 0)


def test_a_writer_that_knows_another_phase_writes_no_row(case):
    case.capture()
    known = case.ledger.read_state("docs")
    case.switch()
    opened = case.ledger.open_entry(known, [1])
    assert opened.entry is None
    assert opened.state.leader == "green"


# --- rounds ---------------------------------------------------------------------------------------


def test_writes_under_way_are_carried_into_the_capture_and_ended_ones_are_not(case):
    case.announce()
    ended = case.write(1)
    case.ledger.settle_entry("docs", ended, [1])
    under_way = case.write(2)
    case.ledger.begin_capture("docs", ours)
    assert case.ledger.settle_entry("docs", under_way, [2])
    assert case.select() == ({2}, 0)


def test_exactly_what_was_selected_is_retired(case):
    case.capture()
    for one in (1, 2):
        case.ledger.settle_entry("docs", case.write(one, 9), [one, 9])
    selection = case.ledger.select_entries("docs", ours)
    assert sorted(selection.ids) == [1, 2, 9]
    case.ledger.settle_entry("docs", case.write(1), [1])
    case.ledger.retire_entries("docs", selection.entries, ours)
    assert case.select() == ({1}, 0)


def test_a_large_write_is_done_in_pieces_and_the_next_ones_wait(case):
    case.capture()
    many = list(range(2 * BOUNDS.piece + 5))
    case.ledger.settle_entry("docs", case.write(*many), many)
    case.ledger.settle_entry("docs", case.write(9_999), [9_999])
    seen: list[Any] = []
    while (selection := case.ledger.select_entries("docs", ours)).entries:
        assert len(selection.ids) <= BOUNDS.piece
        seen += selection.ids
        if selection.rest:
            case.ledger.shorten_entry("docs", selection.entries[0], selection.rest, ours)
        else:
            case.ledger.retire_entries("docs", selection.entries, ours)
    assert seen == [*many, 9_999]


def test_nothing_is_sent_while_a_late_write_may_arrive(case):
    case.capture()
    case.ledger.hold_off("docs", ours)
    with pytest.raises(LeaseLost):
        case.ledger.begin_sending("docs", ours)
    case.ledger.begin_backfill("docs", ours)  # whatever it writes is read again


def test_ids_come_back_as_they_were(case):
    case.capture()
    ids = [0, 2**63, "7d0b8c5e-7d3e-4a4e-9d3f-0a1b2c3d4e5f"]
    entry = case.open(*ids).entry
    case.ledger.settle_entry("docs", entry, ids)
    assert case.ledger.select_entries("docs", ours).ids == tuple(ids)


def test_after_a_round_that_did_not_end_nothing_is_written_for_the_quarantine(case):
    case.capture()
    case.ledger.settle_entry("docs", case.write(1), [1])
    case.ledger.begin_sending("docs", ours)
    with pytest.raises(LeaseLost):
        case.ledger.begin_sending("docs", ours)
    assert case.select() == (set(), BOUNDS.quarantine)
    case.move(BOUNDS.quarantine + 1)
    assert case.select() == ({1}, 0)
    case.ledger.begin_sending("docs", ours)
    case.ledger.end_sending("docs", ours)
    assert case.select() == ({1}, 0), "a round that ended leaves nothing behind"


# --- the fence ------------------------------------------------------------------------------------


def test_no_write_begins_while_writes_are_closed(case):
    case.capture()
    case.ledger.close_gate("docs", ours)
    assert case.open(1).entry is None
    case.ledger.reopen_gate("docs", ours)
    assert case.open(1).entry is not None


def test_writes_open_by_themselves_when_whoever_closed_them_died(case):
    case.capture()
    case.ledger.close_gate("docs", ours)
    case.move(BOUNDS.fence + 0.1)
    assert case.ledger.decide_switch("docs", ours)
    case.write(1)


def test_a_switch_is_decided_only_when_nothing_is_left(case):
    case.capture()
    entry = case.write(1)
    case.ledger.close_gate("docs", ours)
    assert case.ledger.decide_switch("docs", ours) == "writes have not reached green yet: 1"
    case.ledger.settle_entry("docs", entry, [1])
    assert case.ledger.decide_switch("docs", ours) == "writes have not reached green yet: 1"
    case.ledger.retire_entries("docs", [entry], ours)
    assert case.ledger.decide_switch("docs", ours) == ""


def test_a_decided_switch_goes_forward_only(case):
    case.capture()
    case.ledger.close_gate("docs", ours)
    case.ledger.decide_switch("docs", ours)
    with pytest.raises(Broken):
        case.ledger.reopen_gate("docs", ours)
    with pytest.raises(Broken):
        case.ledger.end_rebuild("docs", ours)
    case.move(3600)
    assert case.open(1).entry is None, "until it is finished"
    state = case.ledger.finish_switch("docs", "green", ours)
    assert (state.leader, state.follower) == ("green", "blue")
    assert (state.phase, state.gate, state.epoch) == (Phase.FOLLOWING, Gate.OPEN, 1)
    assert case.ledger.finish_switch("docs", "green", ours) == state, "done twice is done once"
    case.write(1)


def test_a_switch_that_was_not_decided_cannot_be_finished(case):
    case.capture()
    case.ledger.close_gate("docs", ours)
    with pytest.raises(Broken):
        case.ledger.finish_switch("docs", "green", ours)
    assert case.ledger.read_state("docs").leader == "blue"


def test_the_fence_of_a_rollback_reads_writes_without_an_answer_once_more(case):
    case.capture()
    entry = case.write(1)
    case.ledger.mark_unknown(entry)
    case.move(BOUNDS.quarantine + 1)
    case.ledger.retire_entries("docs", [entry], ours)
    case.switch()
    assert case.select() == (set(), 0)
    case.ledger.close_gate("docs", ours)
    assert case.select() == ({1}, 0)


@pytest.mark.parametrize(
    "act",
    [
        lambda ledger: ledger.announce_rebuild("docs", "blue", "other", lost),
        lambda ledger: ledger.begin_capture("docs", lost),
        lambda ledger: ledger.select_entries("docs", lost),
        lambda ledger: ledger.begin_sending("docs", lost),
        lambda ledger: ledger.end_sending("docs", lost),
        lambda ledger: ledger.hold_off("docs", lost),
        lambda ledger: ledger.retire_entries("docs", [1], lost),
        lambda ledger: ledger.close_gate("docs", lost),
        lambda ledger: ledger.reopen_gate("docs", lost),
        lambda ledger: ledger.decide_switch("docs", lost),
        lambda ledger: ledger.finish_switch("docs", "green", lost),
        lambda ledger: ledger.end_rebuild("docs", lost),
    ],
)
def test_a_turn_that_was_taken_over_changes_nothing(case, act):
    case.capture()
    case.ledger.settle_entry("docs", case.write(1), [1])
    before = case.ledger.read_state("docs")
    with pytest.raises(LeaseLost):
        act(case.ledger)
    assert case.ledger.read_state("docs") == before
    assert case.select() == ({1}, 0)


def test_times_from_before_the_clock_was_set_back_hold_nobody(case):
    case.ledger.renew_lease("a", {})
    case.announce()
    case.move(-timedelta(hours=1).total_seconds())
    assert case.ledger.begin_capture("docs", ours) == []
    case.ledger.close_gate("docs", ours)
    case.move(-timedelta(hours=1).total_seconds())
    assert case.open(1).entry is not None
