"""Which deployments wait for a place among the rebuilds, in which order, and for what.

Rule for the order: first what has begun (it was paused and continued); then requests of persons
before those of schedules; then the older by the minute of the request; then the smaller by the
number of live records. If no place is left for a deployment's model, deployments with other models
go first.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, case, cast, exists, extract, func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.deployments import Queued
from qdrant_rollouts.core.database.models import Deployment, Places, StepRow
from qdrant_rollouts.core.database.schedule_rows import ACTOR
from qdrant_rollouts.core.defaults import PER_MODEL, REBUILDS
from qdrant_rollouts.core.lifecycle import Place
from qdrant_rollouts.core.times import as_iso

#: How many of the rebuilds that it waits for are named in a sentence.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Limits:
    rebuilds: int = REBUILDS
    per_model: int = PER_MODEL


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A deployment that has a place, or waits for one."""

    id: str
    alias: str
    models: frozenset[str]
    begun: bool
    scheduled: bool
    asked_at: datetime
    records: int

    @property
    def order(self) -> tuple[bool, bool, datetime, int, datetime, str]:
        minute = self.asked_at.replace(second=0, microsecond=0)
        return (not self.begun, self.scheduled, minute, self.records, self.asked_at, self.id)


@dataclass(frozen=True, slots=True)
class Standing:
    """All that have a place, in the order in which they took it; and those that wait and may be
    next, see ``look``."""

    taken: tuple[Rebuild, ...]
    waiting: tuple[Rebuild, ...]
    limits: Limits

    def next_ones(self) -> list[Rebuild]:
        """Returns those that get a place now, in order."""
        chosen: list[Rebuild] = []
        for one in sorted(self.waiting, key=lambda one: one.order):
            if not _obstacle(one, (*self.taken, *chosen), self.limits)[0]:
                chosen.append(one)
        return chosen

    def describe_queue(self, line: Mapping[int, Rebuild], length: int) -> dict[str, Queued]:
        """Returns the text that people see for each deployment in ``line``, by its id. ``line`` has
        those with these numbers in the queue, which has ``length``."""
        chosen = self.next_ones()
        ahead = (*self.taken, *chosen)
        told: dict[str, Queued] = {}
        for place, one in line.items():
            why = "begins now"
            if one not in chosen:
                why = _waits_for(*_obstacle(one, ahead, self.limits))
            text = f"place {place} of {length}; {why}"
            told[one.id] = {
                "place": place,
                "of": length,
                "since": as_iso(one.asked_at),
                "text": text,
            }
        return told


_WAITS = Deployment.place == Place.WAITING
_BEGUN = exists().where(StepRow.deployment_id == Deployment.id, StepRow.started_at.is_not(None))
_COLUMNS = (
    Deployment.id,
    Deployment.alias,
    Deployment.models,
    Deployment.actor,
    Deployment.created_at,
    Deployment.records,
    _BEGUN.label("begun"),
)
#: ``Rebuild.order``, for the database.
_ORDER = (
    case((_BEGUN, 0), else_=1),
    case((Deployment.actor == ACTOR, 1), else_=0),
    extract("epoch", Deployment.created_at) - extract("second", Deployment.created_at),
    Deployment.records,
    Deployment.created_at,
    Deployment.id,
)
_MODELS = cast(Deployment.models, Text)


def look(session: Session) -> Standing:
    """Reads all that have a place, and of those that wait the ones that may be next. Of thousands
    that wait with the same models, only as many are read as there are free places."""
    taken = list_taken(session)
    found = limits(session)
    return Standing(taken, tuple(_read_candidates(session, taken, found)), found)


def list_taken(session: Session) -> tuple[Rebuild, ...]:
    """Returns all that have a place, in the order in which they took it."""
    query = select(*_COLUMNS).where(Deployment.place == Place.TAKEN)
    query = query.order_by(Deployment.placed_at, Deployment.id)
    return tuple(map(_read_rebuild, session.execute(query)))


def count_waiting(session: Session) -> int:
    return session.scalar(select(func.count()).where(_WAITS)) or 0


def _read_candidates(
    session: Session, taken: Sequence[Rebuild], limits: Limits
) -> Iterable[Rebuild]:
    """Returns the first ones of each set of models that has a place left. No other can be next: one
    that gets no place for its models leaves none to those behind it with the same models."""
    free = limits.rebuilds - len(taken)
    if free <= 0:
        return []
    sets = session.scalars(select(_MODELS).where(_WAITS).distinct())
    left = [text for text in sets if not _full_model(json.loads(text), taken, limits)]
    if not left:
        return []
    number = func.row_number().over(partition_by=_MODELS, order_by=_ORDER).label("number")
    line = select(*_COLUMNS, number).where(_WAITS, _MODELS.in_(left)).subquery()
    return map(_read_rebuild, session.execute(select(line).where(line.c.number <= free)))


def _read_rebuild(row: Row[Any]) -> Rebuild:
    models = frozenset(map(str, row.models))
    scheduled = row.actor == ACTOR
    return Rebuild(row.id, row.alias, models, row.begun, scheduled, row.created_at, row.records)


def limits(session: Session) -> Limits:
    """Returns the limits as last read from the index file."""
    row = session.get(Places, 1)
    if row is not None:
        return Limits(row.rebuilds, row.per_model)
    return Limits()


def queue(session: Session, shown: Iterable[str]) -> Mapping[str, Queued]:
    """Returns the text that people see for each deployment in ``shown`` that waits, by its id."""
    ids = list(shown)
    if not ids:
        return {}
    waits = select(Deployment.id).where(_WAITS, Deployment.id.in_(ids)).limit(1)
    if session.scalar(waits) is None:
        return {}
    number = func.row_number().over(order_by=_ORDER).label("number")
    # of thousands that wait only this is read, and more only of those that are shown
    line = select(Deployment.id, number).where(_WAITS).subquery()
    query = select(*_COLUMNS, line.c.number).join(line, line.c.id == Deployment.id)
    rows = session.execute(query.where(Deployment.id.in_(ids)).order_by(line.c.number)).all()
    numbered = {row.number: _read_rebuild(row) for row in rows}
    return look(session).describe_queue(numbered, count_waiting(session))


def _obstacle(
    one: Rebuild, ahead: Sequence[Rebuild], limits: Limits
) -> tuple[Sequence[Rebuild], str]:
    """Returns the rebuilds that it waits for, empty if there is a place; and the shared model, if
    that is the reason."""
    if len(ahead) >= limits.rebuilds:
        return ahead, ""
    full = _full_model(one.models, ahead, limits)
    if not full:
        return ((), "")
    return ([other for other in ahead if full in other.models], full)


def _full_model(models: Iterable[str], ahead: Sequence[Rebuild], limits: Limits) -> str:
    """Returns the first of the models that has no place left, empty if all have one."""
    used = Counter(model for other in ahead for model in other.models)
    return next((model for model in sorted(models) if used[model] >= limits.per_model), "")


def _waits_for(others: Sequence[Rebuild], model: str) -> str:
    what = f"{len(others)} rebuild{'s' if len(others) > 1 else ''}" + (
        f" with {model}" if model else ""
    )
    return f"waits for {what} ({_names(other.alias for other in others)})"


def _names(aliases: Iterable[str]) -> str:
    names = list(aliases)
    return ", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])])
