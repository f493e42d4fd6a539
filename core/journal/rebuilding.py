"""What the steps of a deployment ask of the journal, one call for each piece of a turn.

In this order: ``begin_capture`` until it returns no process; the backfill; ``do_round`` again and
again; ``close_and_decide`` until it has decided; the alias is moved; ``finish_switch``; rounds
backwards with ``do_round``, and a rollback is the same again; ``end_rebuild``. All can be repeated.
"""

from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.fences import Check, Fenced, fence_steps
from qdrant_rollouts.core.journal.ledger import Lag
from qdrant_rollouts.core.journal.rounds import Catcher, MakePoints, Points, Round, round_steps
from qdrant_rollouts.core.journal.running import run_steps
from qdrant_rollouts.core.journal.sql_ledger import SqlLedger, open_ledger
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import Turn
from qdrant_rollouts.core.services import Services


def read_state(services: Services, alias: str) -> WriteState | None:
    """Returns what the alias's writes stand at; None if it never had a journal."""
    return open_ledger(services).read_state(alias)


def read_lag(services: Services, alias: str, bounds: Bounds = BOUNDS) -> Lag:
    """Returns how far the follower is behind. Raises Broken if the alias never had a journal."""
    return open_ledger(services, bounds).measure_lag(alias)


def begin_capture(
    services: Services,
    store: Points,
    alias: str,
    leader: str,
    follower: str,
    turn: Turn,
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
    turn: Turn,
    bounds: Bounds = BOUNDS,
) -> Catcher:
    ledger: SqlLedger = open_ledger(services, bounds)
    return Catcher(alias, ledger, store, make_points, turn, bounds)


def hold_off(catcher: Catcher) -> None:
    """Call this after a backfill whose worker died or lost its turn: its last write may still
    arrive, so no round writes for the quarantine."""
    catcher.ledger.hold_off(catcher.alias, catcher.turn.fence)


def do_round(catcher: Catcher) -> Round:
    """Brings what was written to the follower. Raises what the store and ``make_points`` raise;
    then nothing was retired."""
    return run_steps(round_steps(catcher))


def close_and_decide(catcher: Catcher, check: Check | None = None) -> Fenced:
    """Closes writes, catches up and decides the switch, or opens writes again and says why. Once it
    is decided, move the alias and call ``finish_switch``: there is no way back. ``check`` is asked
    when both sides should be equal; without it their points are counted."""
    return run_steps(fence_steps(catcher, check or counts_of(catcher)))


def finish_switch(services: Services, alias: str, leader: str, turn: Turn) -> WriteState:
    """After the alias was moved to ``leader``: the roles change, writes open, and the old
    collection follows."""
    return open_ledger(services).finish_switch(alias, leader, turn.fence)


def end_rebuild(services: Services, alias: str, turn: Turn) -> None:
    """Writers write no rows any more: the grace is over, or the rebuild was given up. Raises Broken
    while a decided switch is not finished."""
    open_ledger(services).end_rebuild(alias, turn.fence)


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
