"""The fence: writes are closed until the follower is equal to the leader, and the switch is decided
once.

Rule: before the decision everything can be dropped, and after it everything goes forward.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from qdrant_rollouts.core.database.journal_rows import Gate
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.journal.ledger import Lag
from qdrant_rollouts.core.journal.rounds import Catcher, Round, round_steps
from qdrant_rollouts.core.journal.running import Pause, Steps

#: Returns what is wrong with the follower, or nothing.
Check = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Fenced:
    """``why_not`` says why the fence was dropped; it is empty if the switch is decided. ``seconds``
    for which writes were closed until then."""

    why_not: str = ""
    seconds: float = 0.0

    @property
    def decided(self) -> bool:
        return not self.why_not


def fence_steps(
    catcher: Catcher, check: Check, clock: Callable[[], float] = time.monotonic
) -> Steps[Fenced]:
    """Yields the steps of a fence. ``check`` looks at the follower when nothing is left to do.

    A switch that is decided already stays so.
    A fence that takes longer than its budget is dropped. Raises what a round raises; writes are
    open again then, or will be when the budget is over.
    """
    lag: Lag = yield partial(catcher.ledger.measure_lag, catcher.alias)
    if lag.state.gate is Gate.FLIPPING:
        return Fenced()
    if why_not := why_not_entered(catcher, lag):
        return Fenced(why_not)
    began = clock()
    yield partial(catcher.ledger.close_gate, catcher.alias, catcher.turn.fence)
    try:
        why_not = yield from _drain_writes(catcher, began + catcher.bounds.fence, clock)
        if not why_not:
            # Whatever was sent to the follower before is applied now.
            yield partial(catcher.store.await_writes, lag.state.follower or "")
            why_not = yield check
        why_not = why_not or (
            yield partial(catcher.ledger.decide_switch, catcher.alias, catcher.turn.fence)
        )
    except AppError:
        with suppress(AppError):
            yield partial(catcher.ledger.reopen_gate, catcher.alias, catcher.turn.fence)
        raise
    if why_not:
        yield partial(catcher.ledger.reopen_gate, catcher.alias, catcher.turn.fence)
    return Fenced(why_not, clock() - began)


def why_not_entered(catcher: Catcher, lag: Lag) -> str:
    """Returns why writes should not be closed now; empty if they may be."""
    most = catcher.bounds.most_left
    if lag.quiet:
        return f"a late write to {lag.state.follower} may still arrive for {lag.quiet:.0f} s"
    if lag.unknown:
        quarantine = catcher.bounds.quarantine
        return (
            f"writes to {catcher.alias} without an answer: {lag.unknown:,}, the last one "
            f"{quarantine - lag.unknown_for:.0f} s ago; one may still arrive for "
            f"{quarantine:g} s, so this goes on in {lag.unknown_for:.0f} s"
        )
    if lag.points > most:
        return (
            f"points that were written and have not reached {lag.state.follower} yet: "
            f"{lag.points:,}; at most {most} may be left"
        )
    return ""


def _drain_writes(catcher: Catcher, until: float, clock: Callable[[], float]) -> Steps[str]:
    """Waits for writes that are under way, and does rounds until nothing is left. Returns why it
    gave up, or nothing."""
    while True:
        done: Round = yield from round_steps(catcher)
        lag: Lag = yield partial(catcher.ledger.measure_lag, catcher.alias)
        if not lag.left:
            return ""
        if done.quiet or lag.unknown:
            return why_not_entered(catcher, lag)
        if clock() >= until:
            return f"writes did not end within {catcher.bounds.fence:g} s: {lag.left}"
        if not done.retired:
            yield Pause(catcher.bounds.poll)
