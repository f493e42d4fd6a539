"""Which collections have served an alias, and where a rollback leads.

Rule: a rollback takes the version that it leaves, and every version that went live after its
target, off the way back. Such a version comes back onto it only by a deployment that makes it live
again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment, Version
from qdrant_rollouts.core.lifecycle import Status

#: The strategy of a deployment that goes back to an older version.
ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class ServingHistory:
    """``served``: every collection that has served. ``way_back``: those that a rollback may choose
    by itself, the earliest first; the live one is among them. ``bad``: those that a person has
    marked bad."""

    served: frozenset[str]
    way_back: tuple[str, ...]
    bad: frozenset[str]

    def find_default(self, live: str | None) -> str | None:
        """Returns where a rollback from ``live`` leads if nobody names a version."""
        if live not in self.way_back:
            return None
        older = self.way_back[: self.way_back.index(live)]
        return next((one for one in reversed(older) if one not in self.bad), None)

    def find_rolled_away(self, live: str | None) -> frozenset[str]:
        """Returns those that a rollback has left or went past."""
        return self.served - {*self.way_back, live}


def read_history(session: Session, alias: str) -> ServingHistory:
    query = select(Deployment.strategy, Deployment.blue, Deployment.green).where(
        Deployment.alias == alias, Deployment.kind == "rollout", Deployment.status == Status.LIVE
    )
    # a rollback may end in the same moment as the deployment that it takes back
    order = Deployment.finished_at, Deployment.strategy == ROLLBACK
    moves = [
        (strategy, blue, green) for strategy, blue, green in session.execute(query.order_by(*order))
    ]
    served = {name for _, blue, green in moves for name in (blue, green) if name is not None}
    marked = select(Version.collection).where(
        Version.collection.in_(served), Version.marked_bad_at.is_not(None)
    )
    return ServingHistory(
        frozenset(served), follow_moves(moves), frozenset(session.scalars(marked))
    )


def follow_moves(moves: Iterable[tuple[str, str | None, str]]) -> tuple[str, ...]:
    """Returns the way back after ``moves``, each with its strategy, the collection that it left,
    and the one that it led to."""
    way: dict[str, None] = {}
    for strategy, left, reached in moves:
        if strategy == ROLLBACK:
            way = _go_back(way, left, reached)
            continue
        for one in (left, reached):
            if one is not None:
                way.pop(one, None)
                way[one] = None
    return tuple(way)


def _go_back(way: dict[str, None], left: str | None, reached: str) -> dict[str, None]:
    names = list(way)
    if reached in way:
        names = names[: names.index(reached)]
    return dict.fromkeys([one for one in names if one != left] + [reached])
