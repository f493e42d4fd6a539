"""What an alias's writes stand at, and every change of it.

Rule: a change is a pure function of the state that was read under the alias's lock. Whoever keeps
states (``core.journal.ledger``) calls these functions and decides nothing itself.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from qdrant_rollouts.core.database.journal_rows import EntryStatus, Gate, Phase
from qdrant_rollouts.core.database.leases import SLACK, lasts
from qdrant_rollouts.core.defaults import LONGEST_FENCE
from qdrant_rollouts.core.errors import Broken, LeaseLost
from qdrant_rollouts.core.journal.bounds import Bounds

#: Writers do not know for how long a deployment may close them, only the most that it may declare
#: (``WritesSpec.fence_seconds``).
_LONGEST_FENCE = timedelta(seconds=LONGEST_FENCE)


@dataclass(frozen=True, slots=True)
class WriteState:
    """See ``core.database.journal_rows.WriteStateRow``."""

    alias: str
    leader: str
    follower: str | None = None
    phase: Phase = Phase.IDLE
    gate: Gate = Gate.OPEN
    closed_until: datetime | None = None
    epoch: int = 0
    version: int = 0
    captured_after: int | None = None
    sending_since: datetime | None = None
    quiet_until: datetime | None = None

    @property
    def journals(self) -> bool:
        """Returns whether writers write rows."""
        return self.phase is not Phase.IDLE

    @property
    def captures(self) -> bool:
        """Returns whether the old collection leads while the new one is made."""
        return self.phase in {Phase.ANNOUNCED, Phase.CAPTURING}

    def admits_writes(self, now: datetime) -> bool:
        """Returns whether a write may begin. A fence whose coordinator died ends by its time; a
        switch that was decided has no way back, so its writes wait until it is finished."""
        if self.gate is Gate.CLOSED:
            return not lasts(self.closed_until, now, _LONGEST_FENCE)
        return self.gate is Gate.OPEN

    def quiet_for(self, now: datetime, bounds: Bounds) -> float:
        """Returns for how many seconds nothing may be written to the follower."""
        if not lasts(self.quiet_until, now, timedelta(seconds=bounds.quarantine)):
            return 0.0
        assert self.quiet_until is not None
        return (self.quiet_until - now).total_seconds()


def announce_rebuild(
    state: WriteState | None, alias: str, leader: str, follower: str
) -> WriteState:
    """Tells writers to write rows. The same rebuild may be announced twice. A rebuild that begins
    while the last one is still followed takes its place. Raises Broken while a decided switch is
    not finished."""
    found = state or WriteState(alias, leader)
    _check_undecided(found)
    if found.captures and found.follower == follower:
        return found
    return replace(
        found,
        leader=leader,
        follower=follower,
        phase=Phase.ANNOUNCED,
        gate=Gate.OPEN,
        closed_until=None,
        sending_since=None,
        version=found.version + 1,
    )


def begin_capture(state: WriteState, last_entry: int) -> WriteState:
    """Every writer writes rows, so the backfill may begin."""
    return replace(state, phase=Phase.CAPTURING, captured_after=last_entry)


def begin_round(state: WriteState, now: datetime, bounds: Bounds) -> WriteState:
    """If the last round did not end, a write of it may still arrive."""
    return state if state.sending_since is None else hold_off(state, now, bounds)


def begin_sending(state: WriteState, now: datetime, bounds: Bounds) -> WriteState:
    """Marks that a round writes to the follower. Raises LeaseLost if another round has not ended,
    or if writes of one may still arrive."""
    if state.sending_since is not None or state.quiet_for(now, bounds):
        raise LeaseLost(f"{state.alias}: another round writes to {state.follower}")
    return replace(state, sending_since=now)


def begin_backfill(state: WriteState, now: datetime, bounds: Bounds) -> WriteState:
    """As ``begin_sending``, for writes that may be repeated, whatever arrives late. If earlier ones
    did not end, rounds are quiet."""
    return replace(begin_round(state, now, bounds), sending_since=now)


def end_sending(state: WriteState) -> WriteState:
    """All writes of the round have ended."""
    return replace(state, sending_since=None)


def hold_off(state: WriteState, now: datetime, bounds: Bounds) -> WriteState:
    """A write to the follower may still arrive, so nothing is written to it for the quarantine."""
    return replace(
        state, sending_since=None, quiet_until=now + timedelta(seconds=bounds.quarantine)
    )


def close_gate(state: WriteState, now: datetime, bounds: Bounds) -> WriteState:
    """Closes the writes for at most the budget of the fence."""
    _check_undecided(state)
    return replace(state, gate=Gate.CLOSED, closed_until=now + timedelta(seconds=bounds.fence))


def reopen_gate(state: WriteState) -> WriteState:
    """Drops a fence. A switch that was decided goes forward only."""
    _check_undecided(state)
    return replace(state, gate=Gate.OPEN, closed_until=None)


def why_not_decided(state: WriteState, now: datetime, bounds: Bounds, left: int) -> str:
    """Returns why the fence must be dropped; empty if the switch may be decided. ``left``: writes
    that are not retired."""
    if state.gate is not Gate.CLOSED or state.admits_writes(now):
        return f"writes were not closed any more; a fence may last {bounds.fence:g} s"
    if left:
        return f"writes have not reached {state.follower} yet: {left}"
    if state.sending_since is not None:
        return f"a round still writes to {state.follower}"
    return ""


def decide_switch(state: WriteState) -> WriteState:
    """The one decision: before it everything can be dropped, after it everything goes forward."""
    return replace(state, gate=Gate.FLIPPING, closed_until=None)


def abandon_switch(state: WriteState) -> WriteState:
    """Lets writes in again although a switch was decided, because nobody finishes it: both sides
    were equal, and none was written to since."""
    return replace(state, gate=Gate.OPEN, closed_until=None)


def finish_switch(state: WriteState, leader: str) -> WriteState:
    """The two collections change their roles, and writes are open again. If ``leader`` leads
    already, nothing changes. Raises Broken if its switch was not decided."""
    if state.leader == leader and state.gate is not Gate.FLIPPING:
        return state
    if state.gate is not Gate.FLIPPING or state.follower != leader:
        raise Broken(f"{state.alias}: a switch to {leader} was not decided")
    return replace(
        state,
        leader=leader,
        follower=state.leader,
        phase=Phase.FOLLOWING,
        gate=Gate.OPEN,
        closed_until=None,
        epoch=state.epoch + 1,
        version=state.version + 1,
    )


def end_rebuild(state: WriteState) -> WriteState:
    """Writers write no rows any more. Raises Broken while a decided switch is not finished."""
    _check_undecided(state)
    return replace(
        state,
        follower=None,
        phase=Phase.IDLE,
        gate=Gate.OPEN,
        closed_until=None,
        sending_since=None,
        version=state.version + 1,
    )


def is_abandoned(status: EntryStatus, created_at: datetime, now: datetime, bounds: Bounds) -> bool:
    """Returns whether a write is under way for longer than any can be: its writer died. A time in
    the future was written before the clock was set back."""
    longest = timedelta(seconds=bounds.send_within + bounds.answer)
    return status is EntryStatus.PENDING and not longest >= now - created_at >= -SLACK


def is_readable(
    status: EntryStatus, ended_at: datetime | None, now: datetime, bounds: Bounds
) -> bool:
    """Returns whether the write can change nothing any more, so that its ids can be read again."""
    if status is EntryStatus.UNKNOWN and ended_at is not None:
        return not timedelta(seconds=bounds.quarantine) >= now - ended_at >= -SLACK
    return status is EntryStatus.DONE


def arrives_for(ended_at: datetime | None, now: datetime, bounds: Bounds) -> float:
    """Returns for how many seconds a write may still arrive that had no answer at ``ended_at``."""
    if ended_at is None:
        return 0.0
    return max(0.0, bounds.quarantine - (now - ended_at).total_seconds())


def _check_undecided(state: WriteState) -> None:
    if state.gate is Gate.FLIPPING:
        raise Broken(f"{state.alias}: the switch to {state.follower} was decided; finish it")
