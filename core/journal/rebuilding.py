"""What the steps of a deployment ask of the journal, one call for each piece of a turn.

In this order: ``begin_capture`` until it returns no process; the backfill within
``write_follower``; ``do_round`` again and again; ``close_and_decide`` until it has decided; the
alias is moved; ``finish_switch``; rounds backwards with ``do_round``, and a rollback is the same
again; ``end_rebuild``. All can be repeated.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.journal_rows import Gate, WriteStateRow
from qdrant_rollouts.core.errors import LeaseLost, Limited, Refused
from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.fences import Check, Fenced, fence_steps
from qdrant_rollouts.core.journal.rounds import (
    Catcher,
    Claim,
    MakePoints,
    Points,
    Round,
    round_steps,
)
from qdrant_rollouts.core.journal.running import run_steps
from qdrant_rollouts.core.journal.sql_ledger import SqlLedger, open_ledger
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import PointId
from qdrant_rollouts.core.services import Services


def read_state(services: Services, alias: str) -> WriteState | None:
    """Returns what the alias's writes stand at; None if it never had a journal."""
    return open_ledger(services).read_state(alias)


def begin_capture(
    services: Services,
    store: Points,
    alias: str,
    leader: str,
    follower: str,
    turn: Claim,
    bounds: Bounds = BOUNDS,
) -> list[str]:
    """From now on writers write rows. Returns the processes whose writes may not have one yet; if
    there is none, the backfill may begin. Waiting for them takes two leases at most, or a
    quarantine if a write of theirs had no answer."""
    ledger = open_ledger(services, bounds)
    ledger.announce_rebuild(alias, leader, follower, turn.fence)
    late = ledger.begin_capture(alias, turn.fence)
    if not late:
        # Earlier writes may be accepted and not applied yet; the backfill must meet them.
        store.await_writes(leader)
    return late


def open_catcher(
    services: Services,
    store: Points,
    alias: str,
    make_points: MakePoints,
    turn: Claim,
    bounds: Bounds = BOUNDS,
) -> Catcher:
    ledger: SqlLedger = open_ledger(services, bounds)
    return Catcher(alias, ledger, store, make_points, turn, bounds)


@contextmanager
def write_follower(services: Services, alias: str, turn: Claim) -> Iterator[None]:
    """Writes to the follower outside a round go on within this. If they do not end, because the
    process dies or a server does not answer, the last one may still arrive: then no round writes
    for the quarantine."""
    ledger = open_ledger(services)
    ledger.begin_backfill(alias, turn.fence)
    try:
        yield
    except (Limited, Refused):  # it was not applied
        ledger.end_sending(alias, turn.fence)
        raise
    ledger.end_sending(alias, turn.fence)


def hold_off_rounds(services: Services, alias: str, turn: Claim) -> None:
    """A write to the follower that had no answer may still arrive: no round writes for the
    quarantine."""
    open_ledger(services).hold_off(alias, turn.fence)


def do_round(catcher: Catcher) -> Round:
    """Brings what was written to the follower. Raises what the store and ``make_points`` raise;
    then nothing was retired."""
    return run_steps(round_steps(catcher))


def close_and_decide(catcher: Catcher, check: Check | None = None) -> Fenced:
    """Closes writes, catches up and decides the switch, or opens writes again and says why. Once it
    is decided, move the alias and call ``finish_switch``: there is no way back. ``check`` is asked
    when both sides should be equal; without it their points are counted."""
    return run_steps(fence_steps(catcher, check or counts_of(catcher)))


def finish_switch(services: Services, alias: str, leader: str, turn: Claim) -> WriteState:
    """After the alias was moved to ``leader``: the roles change, writes open, and the old
    collection follows."""
    return open_ledger(services).finish_switch(alias, leader, turn.fence)


def end_rebuild(services: Services, alias: str, turn: Claim) -> None:
    """Writers write no rows any more: the grace is over, or the rebuild was given up. Raises Broken
    while a decided switch is not finished."""
    open_ledger(services).end_rebuild(alias, turn.fence)


def list_left(services: Services, alias: str) -> list[PointId]:
    """Returns the ids that were written and have not reached the follower."""
    return open_ledger(services).list_left(alias)


def leave_journal(
    services: Services, alias: str, *, decided: bool = False, version: int | None = None
) -> None:
    """Ends the journal of an alias that somebody moves without it. Its writes go wherever the alias
    leads. Does nothing while there is no journal, or if another one has begun. A switch that is
    decided is left to who finishes it, unless nobody will (``decided``). ``version``: only the
    phase that the caller has looked at is ended."""
    state = read_state(services, alias)
    if state is None or not state.journals or version not in (None, state.version):
        return
    if state.gate is Gate.FLIPPING and not decided:
        return
    ledger = open_ledger(services)
    fence = _while_same(state)
    with suppress(LeaseLost):
        if state.gate is Gate.FLIPPING:
            ledger.abandon_switch(alias, fence)
        ledger.end_rebuild(alias, fence)


def settle_decided(services: Services, alias: str, shown: str | None) -> None:
    """Lets writes in after a switch that was decided and that nobody finishes now: to the new
    leader if the alias shows that already (``shown``), else to the old one."""
    state = read_state(services, alias)
    if state is None or state.gate is not Gate.FLIPPING:
        return
    ledger = open_ledger(services)
    with suppress(LeaseLost):
        if shown is not None and shown == state.follower:
            ledger.finish_switch(alias, shown, _while_same(state))
        else:
            ledger.abandon_switch(alias, _while_same(state))


def _while_same(state: WriteState) -> Callable[[Session], None]:
    """Returns a fence that holds while the alias's phase is as it was read."""

    def fence(session: Session) -> None:
        row = session.get(WriteStateRow, state.alias, populate_existing=True, with_for_update=True)
        if row is None or row.version != state.version:
            raise LeaseLost(f"the journal of {state.alias} has begun anew")

    return fence


def prune_journal(services: Services, alias: str) -> None:
    """Deletes a piece of what a journal that has ended has left."""
    open_ledger(services).prune_entries(alias)


def counts_of(catcher: Catcher) -> Check:
    """Returns a check that both sides have the same number of points."""

    def compare_counts() -> str:
        state = catcher.ledger.read_state(catcher.alias)
        assert state is not None
        assert state.follower is not None
        expected = catcher.store.count(state.leader)
        found = catcher.store.count(state.follower)
        if expected == found:
            return ""
        return f"{state.follower} has {found} points and {state.leader} {expected}"

    return compare_counts
