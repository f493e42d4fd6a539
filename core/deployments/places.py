"""Which deployments wait for a place among the rebuilds, in which order, and for what.

Rule for the order: first what has begun (it was paused and continued); then requests of persons
before those of schedules; then the older by the minute of the request; then the smaller by the
number of live records. If no place is left for a deployment's model, deployments with other models
go first.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
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
    """All that have a place or wait; those with a place in the order in which they took it."""

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

    def queue(self) -> dict[str, Queued]:
        """Returns the text that people see for each waiting deployment, by its id."""
        chosen = self.next_ones()
        line = sorted(self.waiting, key=lambda one: one.order)
        ahead = (*self.taken, *chosen)
        told: dict[str, Queued] = {}
        for place, one in enumerate(line, start=1):
            why = "begins now"
            if one not in chosen:
                why = _waits_for(*_obstacle(one, ahead, self.limits))
            text = f"place {place} of {len(line)}; {why}"
            told[one.id] = {
                "place": place,
                "of": len(line),
                "since": as_iso(one.asked_at),
                "text": text,
            }
        return told


def look(session: Session) -> Standing:
    """Reads the current rows. If nothing is being rebuilt, this costs one look at an index."""
    begun = exists().where(StepRow.deployment_id == Deployment.id, StepRow.started_at.is_not(None))
    columns = (
        Deployment.id,
        Deployment.alias,
        Deployment.place,
        Deployment.models,
        Deployment.actor,
    )
    query = select(*columns, Deployment.created_at, Deployment.records, begun.label("begun"))
    query = query.where(Deployment.place.is_not(None)).order_by(Deployment.placed_at, Deployment.id)
    found: dict[str, list[Rebuild]] = {Place.TAKEN: [], Place.WAITING: []}
    for row in session.execute(query):
        scheduled = row.actor == ACTOR
        models = frozenset(map(str, row.models))
        one = Rebuild(row.id, row.alias, models, row.begun, scheduled, row.created_at, row.records)
        found[row.place].append(one)
    return Standing(tuple(found[Place.TAKEN]), tuple(found[Place.WAITING]), limits(session))


def limits(session: Session) -> Limits:
    """Returns the limits as last read from the index file."""
    row = session.get(Places, 1)
    if row is not None:
        return Limits(row.rebuilds, row.per_model)
    return Limits()


def queue(session: Session) -> Mapping[str, Queued]:
    """Returns the text that people see for each waiting deployment, by its id."""
    if (
        session.scalar(select(Deployment.id).where(Deployment.place == Place.WAITING).limit(1))
        is None
    ):
        return {}
    return look(session).queue()


def _obstacle(
    one: Rebuild, ahead: Sequence[Rebuild], limits: Limits
) -> tuple[Sequence[Rebuild], str]:
    """Returns the rebuilds that it waits for, empty if there is a place; and the shared model, if
    that is the reason."""
    if len(ahead) >= limits.rebuilds:
        return ahead, ""
    used = Counter(model for other in ahead for model in other.models)
    full = next((model for model in sorted(one.models) if used[model] >= limits.per_model), "")
    if not full:
        return ((), "")
    return ([other for other in ahead if full in other.models], full)


def _waits_for(others: Sequence[Rebuild], model: str) -> str:
    what = f"{len(others)} rebuild{'s' if len(others) > 1 else ''}" + (
        f" with {model}" if model else ""
    )
    return f"waits for {what} ({_names(other.alias for other in others)})"


def _names(aliases: Iterable[str]) -> str:
    names = list(aliases)
    return ", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])])
