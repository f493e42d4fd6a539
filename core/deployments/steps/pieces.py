"""Work in pieces of a few seconds, each saved by itself: whoever dies in one has lost no other.

Rule: what is saved says how long the next piece may be: a quarter of this one until it is done. So a piece that killed
its worker is met again as a smaller one, and one that was done lets the next be as long as ever.
"""

import time
from collections.abc import Callable

from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.ports import State

#: Seconds that a piece takes, and the least that it is made to take.
PIECE = 2.0
LEAST = 0.05
_SMALLER = 4
Over = Callable[[], bool]


def work(context: StepContext, state: State, piece: Callable[[float], bool]) -> None:
    """Does ``piece`` again and again until it says that there is no more for now, or the turn's slice is over. It is
    told for how many seconds it may work, and leaves in ``state`` what it came to."""
    ends = time.monotonic() + context.services.times.slice
    seconds = float(state.get("piece", PIECE))
    more = True
    while more:
        context.turn.save({**state, "piece": max(LEAST, seconds / _SMALLER)})
        more = piece(min(seconds, context.services.times.slice)) and time.monotonic() < ends
        seconds = state["piece"] = PIECE
        context.turn.save(state, progress=True)
