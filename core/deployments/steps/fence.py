"""Moves an alias between two collections that must be equal at that moment.

Rule: the leading collection refuses writes while the last comparison is made and the alias moves.
If that takes too long, writes are let in again and nothing has happened. So a write is either in
both collections, or the application was told that it was refused.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts.core.collections import freezing
from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.comparing import Comparison, compare_piece, in_turn
from qdrant_rollouts.core.deployments.steps.data import RoundState
from qdrant_rollouts.core.deployments.steps.followers import Follower, finish_all
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn
from qdrant_rollouts.core.errors import AppError, Limited

#: What a freeze lasts longer than the comparison may take: the alias has to be moved.
_MARGIN = ACT_SECONDS + 2.0


@dataclass(frozen=True, slots=True)
class Passed:
    """The last comparison, and for how many seconds writes were refused. ``moved`` is false if it
    took too long."""

    round: RoundState
    held: float
    moved: bool


def pass_fence(
    context: StepContext,
    follower: Follower,
    seconds: float,
    move: Callable[[RoundState, Callable[[float], None]], object],
) -> Passed:
    """Compares a last time and then calls ``move``, which is given the comparison and a check for
    the time that is left. Raises whatever ``move`` raises; writes are let in again then too."""
    services = context.services
    leader = follower.leading.collection
    comparison = in_turn(context, follower)
    began = time.monotonic()
    if services.store.server().embedded:  # no other process can write to it
        current, _ = _compare_all(comparison, finish_all)
        move(current, context.turn.check)
        return Passed(current, 0.0, moved=True)
    try:
        fence = freezing.freeze_collection(
            services, leader, context.deployment.id, seconds + _MARGIN
        )
        ends = began + seconds
        current, more = _compare_all(comparison, lambda: time.monotonic() < ends)
        if not more:
            move(current, _check_both(fence.check, context.turn.check))
    finally:
        _let_in(context, leader)
    return Passed(current, time.monotonic() - began, moved=not more)


def _compare_all(comparison: Comparison, goes_on: GoesOn) -> tuple[RoundState, bool]:
    """Returns the comparison, and whether there was no time for all of it. A rate limit that would
    have to be waited for is as if there were no time."""
    current, more = RoundState(), True
    with suppress(Limited):
        while more:
            current, more = compare_piece(comparison, current, goes_on)
            if not goes_on():
                break
    return current, more


def _check_both(
    one: Callable[[float], None], other: Callable[[float], None]
) -> Callable[[float], None]:
    def check(seconds: float) -> None:
        one(seconds)
        other(seconds)

    return check


def _let_in(context: StepContext, collection: str) -> None:
    """Lets writes in again. If that fails now, the sweep does it when the freeze is over."""
    try:
        freezing.lift_freeze(context.services, collection, context.deployment.id)
    except (AppError, SQLAlchemyError):
        return
