"""Work in pieces of a few seconds, each saved by itself: whoever dies in one has lost no other.

Rule: what is saved says how long the next piece may be: a quarter of this one until it is done. So
a piece that killed its worker is met again as a smaller one, and one that was done lets the next be
as long as ever.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import PIECE_SECONDS, PieceState

#: The least that a piece is made to take.
LEAST = 0.05
_SMALLER = 4
State = TypeVar("State", bound=PieceState)


def work(
    context: StepContext, state: State, do_piece: Callable[[State, float], tuple[State, bool]]
) -> State:
    """Does pieces until one says that there is no more for now, or the turn's slice is over; what
    it has come to. ``do_piece`` is given the state and for how many seconds it may work, and
    returns what it came to and whether there is more."""
    ends = time.monotonic() + context.services.times.slice
    more = True
    while more:
        seconds = state.piece
        context.save(replace(state, piece=max(LEAST, seconds / _SMALLER)))
        state, there_is_more = do_piece(state, min(seconds, context.services.times.slice))
        more = there_is_more and time.monotonic() < ends
        state = replace(state, piece=PIECE_SECONDS)
        context.save(state, progress=True)
    return state
