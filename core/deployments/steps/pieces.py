"""Does work in pieces of a few seconds and saves each one, so a worker that dies in one piece loses
no other.

Rule: before a piece begins, the state says that the next piece is a quarter as long, and this stays
until the piece is done. So a piece that killed its worker is repeated as a smaller one. After a
piece is done, the next one has the full length again. A rate limit says nothing of the length.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import PIECE_SECONDS, PieceState
from qdrant_rollouts.core.errors import Limited

#: The shortest time for a piece.
LEAST = 0.05
_SMALLER = 4
State = TypeVar("State", bound=PieceState)
Place = TypeVar("Place")
#: Returns whether there is time for more work.
GoesOn = Callable[[], bool]


def limit_to(seconds: float) -> GoesOn:
    """Returns what says, from now on, whether ``seconds`` are over."""
    ends = time.monotonic() + seconds
    return lambda: time.monotonic() < ends


def limit_to_turn(context: StepContext) -> GoesOn:
    """As ``limit_to``, for the time that a turn may work."""
    return limit_to(context.services.times.turn_time)


def do_pages(
    begun: Place, do_page: Callable[[Place], tuple[Place, bool]], goes_on: GoesOn
) -> tuple[Place, bool]:
    """Does pages until the last one, until ``goes_on`` says no, or until a rate limit allows no
    more of them. ``do_page`` receives a place and returns the next one, and whether there is more.
    So does this. Raises Limited if not even one page is allowed."""
    place = begun
    more = True
    while more:
        try:
            place, more = do_page(place)
        except Limited:
            if place is begun:
                raise
            return place, True
        if not goes_on():
            break
    return place, more


def work(
    context: StepContext, state: State, do_piece: Callable[[State, float], tuple[State, bool]]
) -> State:
    """Does pieces until one of them reports that there is no more work for now, or the turn's time
    is over; returns the last state. ``do_piece`` receives the state and for how many seconds it may
    work; it returns the new state, and whether there is more work."""
    goes_on = limit_to_turn(context)
    more = True
    while more:
        seconds = state.piece
        context.save(replace(state, piece=max(LEAST, seconds / _SMALLER)))
        try:
            state, there_is_more = do_piece(state, min(seconds, context.services.times.turn_time))
        except Limited as error:
            context.save(state.delayed(error.seconds))
            raise
        more = there_is_more and goes_on()
        state = replace(state, piece=PIECE_SECONDS)
        context.save(state, progress=True)
    return state
