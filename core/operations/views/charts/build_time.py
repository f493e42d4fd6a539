"""How long versions took to build: the time in which work was done, without the times in which a
deployment was paused or waited for a person."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import EventRow, StepRow
from qdrant_rollouts.core.database.step_traits import has_trait, traits_of
from qdrant_rollouts.core.lifecycle import Status

#: Stands below the chart.
NOTE = "Work from create to the end of validate; pauses and waits for a person are left out."

_PAUSED = f"deployment.{Status.PAUSED}"
#: The events of a change of status; one of them ends each pause.
_MOVES = [f"deployment.{status}" for status in Status]


@dataclass(frozen=True, slots=True)
class Span:
    begun: datetime
    ended: datetime

    def overlap(self, other: "Span") -> timedelta:
        shared = min(self.ended, other.ended) - max(self.begun, other.begun)
        return max(timedelta(), shared)


def read_build_seconds(session: Session, deployments: Sequence[str]) -> dict[str, float]:
    """Returns the seconds by deployment, of those that were judged. One whose clock was set back
    meanwhile is left out: nobody knows how long it took."""
    spans = _read_spans(session, deployments)
    pauses = _read_pauses(session, list(spans))
    measured = {id: measure_work(span, pauses.get(id, ())) for id, span in spans.items()}
    return {id: seconds for id, seconds in measured.items() if seconds is not None}


def measure_work(span: Span, pauses: Iterable[Span]) -> float | None:
    """Returns the seconds of ``span`` outside the pauses, which do not overlap. None if it ends
    before it begins, or a pause does: the clock was set back."""
    pauses = list(pauses)
    left_out = sum((span.overlap(pause) for pause in pauses), timedelta())
    seconds = (span.ended - span.begun - left_out).total_seconds()
    if seconds < 0 or any(pause.ended < pause.begun for pause in pauses):
        return None
    return seconds


def _read_spans(session: Session, deployments: Sequence[str]) -> dict[str, Span]:
    """Returns from the beginning of the first step that builds to the end of the last one that
    judges."""
    query = select(StepRow.deployment_id, StepRow.name, StepRow.started_at, StepRow.finished_at)
    query = query.where(
        StepRow.deployment_id.in_(deployments),
        or_(has_trait(lambda step: step.makes_green), has_trait(lambda step: step.judges)),
    )
    begun: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    for id, name, started_at, finished_at in session.execute(query):
        if traits_of(name).judges and finished_at is not None:
            ended[id] = finished_at
        elif started_at is not None:
            begun[id] = min(started_at, begun.get(id, started_at))
    return {id: Span(begun[id], ended[id]) for id in begun if id in ended}


def _read_pauses(session: Session, deployments: Sequence[str]) -> Mapping[str, Sequence[Span]]:
    query = select(EventRow.deployment_id, EventRow.event, EventRow.at).where(
        EventRow.deployment_id.in_(deployments), EventRow.event.in_(_MOVES)
    )
    found: dict[str, list[Span]] = defaultdict(list)
    paused: dict[str, datetime] = {}
    for id, event, at in session.execute(query.order_by(EventRow.id)):
        assert id is not None
        if event == _PAUSED:
            paused.setdefault(id, at)
        elif id in paused:
            found[id].append(Span(paused.pop(id), at))
    return found
