"""Catches up by the journal: applications write down the ids that they write, and these ids are
read again from the collection that leads.

Rule: what is written to the follower goes through the journal's rounds, and the roles of the two
collections change only behind its fence. The alias follows the journal, never the other way round.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from qdrant_rollouts.core.database.journal_rows import Gate
from qdrant_rollouts.core.deployments.plan import StepContext, Wait
from qdrant_rollouts.core.deployments.steps import comparing
from qdrant_rollouts.core.deployments.steps.data import RoundState
from qdrant_rollouts.core.deployments.steps.direction import goes_back
from qdrant_rollouts.core.deployments.steps.followers import (
    Follower,
    Written,
    apply_changes,
    check_bad_records,
)
from qdrant_rollouts.core.deployments.steps.listed_ids import join_ids
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, limit_to_turn
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.journal import following, rebuilding
from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.fences import Fenced
from qdrant_rollouts.core.journal.rounds import Catcher, Claim
from qdrant_rollouts.core.ports import Point, PointId
from qdrant_rollouts.core.services import Services

#: Seconds between two looks at writers that have not confirmed, and at another worker's lease.
_SOON = 0.5
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Work:
    """What brings writes to a follower, and the counts of what it has written in this turn."""

    catcher: Catcher
    follower: Follower
    written: Written = field(default_factory=Written)


def uses_journal(context: StepContext) -> bool:
    return context.deployment.spec.writes.way == "journal"


# --- filling --------------------------------------------------------------------------------------


def capture_writes(context: StepContext) -> Wait | None:
    """Lets every writer write rows, before the first record is read. Returns what must be waited
    for, or None. Safe to run twice."""
    deployment = context.deployment
    assert deployment.blue is not None
    late = rebuilding.begin_capture(
        context.services,
        context.services.store,
        deployment.alias,
        deployment.blue,
        deployment.green,
        context.turn,
        _bounds_of(context),
    )
    if not late:
        return None
    more = f" and {len(late) - _NAMED} more" if len(late) > _NAMED else ""
    named = ", ".join(late[:_NAMED])
    return Wait(
        _SOON,
        f"these processes still write without rows: {named}{more}; one whose last write had no "
        f"answer is waited for until that write cannot arrive any more, {BOUNDS.quarantine:g} s; "
        f"{context.patience}",
        progress=False,
    )


@contextmanager
def write_green(context: StepContext) -> Iterator[None]:
    """Writes to green outside a round, while writes are captured."""
    with rebuilding.write_follower(context.services, context.deployment.alias, context.turn):
        yield


def await_late_writes(context: StepContext) -> None:
    """Lets no round write to green for as long as a write of the filling may still arrive."""
    rebuilding.hold_off_rounds(context.services, context.deployment.alias, context.turn)


def bring_over(
    context: StepContext, follower: Follower, ids: Sequence[PointId], *, deletes: bool = False
) -> int:
    """Brings single points to green outside a round. If they have rows, these stay, so a round
    reads the points again. Returns how many were written or deleted."""
    with write_green(context):
        written = apply_changes(context.services.store, follower, ids, deletes=deletes)
    return written.made + written.deleted


def stop_capturing(context: StepContext) -> None:
    """Writers write no rows for this deployment any more. Safe to run twice."""
    deployment = context.deployment
    state = rebuilding.read_state(context.services, deployment.alias)
    if state is not None and deployment.green in (state.leader, state.follower):
        rebuilding.leave_journal(context.services, deployment.alias)


# --- rounds ---------------------------------------------------------------------------------------


def follow_piece(work: Work, current: RoundState, goes_on: GoesOn) -> tuple[RoundState, bool]:
    """Does rounds until few writes are left, or until ``goes_on`` says no. Returns what was done,
    and whether there is more to do."""
    catcher = work.catcher
    before = replace(work.written)
    started = time.monotonic()
    checked = current.checked
    last = 0.0
    more = True
    while more:
        began = time.monotonic()
        done = rebuilding.do_round(catcher)
        last = time.monotonic() - began
        checked += len(done.ids)
        lag = catcher.ledger.measure_lag(catcher.alias)
        more = bool(done.retired) and lag.points > catcher.bounds.most_left
        if more and not goes_on():
            break
    made = work.written.made - before.made
    return (
        replace(
            current,
            checked=checked,
            made=current.made + made,
            deleted=current.deleted + checked - current.checked - made,
            bad=current.bad + len(work.written.bad) - len(before.bad),
            seconds=current.seconds + time.monotonic() - started,
            left=lag.points,
            last=last,
        ),
        more,
    )


def open_forward(context: StepContext) -> Work:
    """Returns what brings writes to green. Raises Refused if the journal does not say that green
    follows."""
    deployment = context.deployment
    follower = comparing.open_follower(context)
    _check_roles(context, deployment.blue, deployment.green)
    return open_work(context, follower, context.turn)


def open_backward(context: StepContext, turn: Claim) -> Work:
    """Returns what brings writes back to blue, after the switch."""
    follower = comparing.open_way_back(context)
    _check_roles(context, context.deployment.green, context.deployment.blue)
    return open_work(context, follower, turn, skips_bad=True)


def open_work(
    context: StepContext, follower: Follower, turn: Claim, *, skips_bad: bool = False
) -> Work:
    """``skips_bad``: points that the follower's model or rules do not take are deleted there, so
    that one of them does not keep all others from it."""
    written = Written()
    deployment = context.deployment
    on_bad_record = "skip" if skips_bad else deployment.spec.on_bad_record

    def make_points(points: Sequence[Point]) -> Sequence[Point]:
        made = follower.make(points, written)
        check_bad_records(written, on_bad_record)
        written.made += len(made)
        return made

    catcher = rebuilding.open_catcher(
        context.services,
        context.services.store,
        deployment.alias,
        make_points,
        turn,
        _bounds_of(context),
    )
    return Work(catcher, follower, written)


def _check_roles(context: StepContext, leader: str | None, follower: str | None) -> None:
    alias = context.deployment.alias
    state = rebuilding.read_state(context.services, alias)
    if state is None or not state.journals or (state.leader, state.follower) != (leader, follower):
        way_out = f"`{comparing.build_way_at_once(context)}` goes back without it"
        if not goes_back(context) and leader == context.deployment.blue:
            way_out = "deploy again"
        raise Refused(
            f"the journal of {alias} does not say that {follower} follows {leader}, so nobody "
            f"knows what was written meanwhile; {way_out}"
        )


def may_follow(context: StepContext) -> bool:
    """Returns whether this turn may do rounds. After a switch a worker of its own does them."""
    state = rebuilding.read_state(context.services, context.deployment.alias)
    if state is None or state.captures:
        return True
    owner = f"deployment {context.deployment.id}"
    claim = following.claim_following(
        context.services, context.deployment.alias, owner, following.LEASE_OF_TURN
    )
    return claim is not None


def has_own_worker(context: StepContext) -> bool:
    """Returns whether a worker of its own brings writes to green, which served before blue."""
    if not uses_journal(context):
        return False
    state = rebuilding.read_state(context.services, context.deployment.alias)
    return state is not None and state.journals and not state.captures


# --- switching ------------------------------------------------------------------------------------


def find_decided(context: StepContext) -> str | None:
    """Returns the collection to which the switch is decided, if its switch is not finished. Then
    there is no way but forward."""
    if not uses_journal(context):
        return None
    state = rebuilding.read_state(context.services, context.deployment.alias)
    return state.follower if state is not None and state.gate is Gate.FLIPPING else None


def close_writes(context: StepContext, work: Work, check: Callable[[], str] = lambda: "") -> Fenced:
    """Brings over what is left, closes writes, and decides the switch, or lets writes in again.
    ``check`` looks at both sides when nothing is left; it says what is wrong."""
    follow_piece(work, RoundState(), limit_to_turn(context))
    return rebuilding.close_and_decide(work.catcher, check)


def claim_rounds(context: StepContext) -> Wait | None:
    """Claims the rounds of this alias. Returns what must be waited for, or None."""
    if may_follow(context):
        return None
    return Wait(_SOON, "another worker brings writes to the older version", progress=False)


def finish_switch(context: StepContext, leader: str) -> None:
    """The alias is on ``leader``; writes are let in, and go there."""
    rebuilding.finish_switch(context.services, context.deployment.alias, leader, context.turn)
    owner = f"deployment {context.deployment.id}"
    following.release_following(context.services, context.deployment.alias, owner)


def describe_left(services: Services, alias: str, leader: str | None) -> str:
    """Returns what stays behind if the alias is on ``leader`` without a fence, in words; empty if
    nothing does, or if writes go there already."""
    state = rebuilding.read_state(services, alias)
    if state is None or not state.journals or state.leader == leader:
        return ""
    ids = rebuilding.list_left(services, alias)
    if not ids:
        return ""
    return f"written meanwhile and left behind, {len(ids):,} points: {join_ids(ids)}"


def leave_leader(services: Services, alias: str, leader: str | None) -> None:
    """Ends the journal of an alias that was moved to ``leader`` without a fence."""
    state = rebuilding.read_state(services, alias)
    if state is not None and state.journals and state.leader != leader:
        rebuilding.leave_journal(services, alias)


def compare_counts(context: StepContext, work: Work) -> str:
    """Returns how the numbers of points differ, in words; empty if they do not. Records that break
    a rule are missing in the follower, if the index file allows that; nobody has counted them in
    the leader."""
    if context.deployment.spec.on_bad_record != "fail":
        return ""
    return rebuilding.counts_of(work.catcher)()


def _bounds_of(context: StepContext) -> Bounds:
    return replace(BOUNDS, fence=context.deployment.spec.writes.fence_seconds)
