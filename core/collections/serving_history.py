"""Which collections have served an alias, and where a rollback leads.

Rule: a rollback takes the version that it leaves, and every version that went live after its
target, off the way back. Such a version comes back onto it only by a deployment that makes it live
again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import AliasState, Deployment, StepRow, Version
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.lifecycle import Status, StepStatus

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


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which a collection served. ``since`` is None if nobody wrote down when it began,
    ``until`` while it lasts. ``deployment_id`` is the run that moved the alias to it."""

    since: datetime | None
    until: datetime | None = None
    deployment_id: str | None = None


def read_periods(session: Session, alias: str) -> dict[str, list[Period]]:
    """Returns when each collection served the alias, the earliest first. What a run moved and took
    back during its watch does not count."""
    state = session.get(AliasState, alias)
    found = build_periods(_read_moves(session, alias))
    if state is None or state.desired is None:
        return found
    current = found.get(state.desired)
    if current is None or current[-1].until is not None:
        _end_last(found, state.changed_at)
        found.setdefault(state.desired, []).append(Period(state.changed_at))
    return found


Move = tuple[datetime, str, str | None, str]


def build_periods(moves: Iterable[Move]) -> dict[str, list[Period]]:
    """``moves``, the earliest first: when, by which run, and from where to where the alias went."""
    found: dict[str, list[Period]] = {}
    for at, run, left, reached in moves:
        if left is not None and left not in found:
            found[left] = [Period(None)]
        _end_last(found, at)
        found.setdefault(reached, []).append(Period(at, None, run))
    return found


def _end_last(found: dict[str, list[Period]], at: datetime) -> None:
    for periods in found.values():
        last = periods[-1]
        if last.until is None:
            periods[-1] = Period(last.since, at, last.deployment_id)


def _read_moves(session: Session, alias: str) -> list[Move]:
    """A run whose steps do not say when the alias moved counts from its end."""
    moved = (
        select(func.max(StepRow.finished_at))
        .where(
            StepRow.deployment_id == Deployment.id,
            has_trait(lambda step: step.moves_alias),
            StepRow.status == StepStatus.DONE,
        )
        .scalar_subquery()
    )
    at = func.coalesce(moved, Deployment.finished_at, type_=Deployment.finished_at.type)
    query = (
        select(at, Deployment.id, Deployment.blue, Deployment.green)
        .where(
            Deployment.alias == alias,
            Deployment.kind == "rollout",
            Deployment.status == Status.LIVE,
        )
        .order_by(at, Deployment.created_at)
    )
    return [
        (when, run, left, reached)
        for when, run, left, reached in session.execute(query)
        if when is not None
    ]


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
