"""Estimates when a deployment will end: a range, and its source; if nothing is known about a step,
that step is named.

Sources, in this order: the current pace, times from the settings, the last deployments of this
index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_data import read_progress
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.late import Library
from qdrant_rollouts.core.lifecycle import Status, StepStatus
from qdrant_rollouts.core.operations.views.overview.step_labels import label_step
from qdrant_rollouts.core.times import as_iso

if TYPE_CHECKING:
    from qdrant_rollouts.core.deployments import steps as known_steps
else:  # the command that shows a deployment which has ended needs none of their functions
    known_steps = Library("qdrant_rollouts.core.deployments.steps")

#: How many earlier deployments of the index are used.
_DEPLOYMENTS_BACK = 5
#: A pace over less than this share of the work says little.
_LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Seconds that a step still needs; ``source`` says how this is known."""

    low: float
    high: float
    source: str


def estimate_end(session: Session, row: Deployment, now: datetime) -> dict[str, Any]:
    """``low`` and ``high`` are times, None if a step is ``unknown``; ``sources`` by step."""
    spec = read_stored(IndexSpec, row.spec)
    before = _past_durations(session, row)
    waiting = [
        step
        for step in row.steps
        if step.status in (StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING)
    ]
    found = {
        label_step(step.name, step.arguments): _time_left(step, spec, before, now)
        for step in waiting
    }
    unknown = [name for name, left in found.items() if left is None]
    known = [left for left in found.values() if left is not None]
    certain = bool(known) and not unknown
    low, high = (
        timedelta(seconds=sum(getattr(left, end) for left in known)) for end in ("low", "high")
    )
    return {
        "low": as_iso(now + low) if certain else None,
        "high": as_iso(now + high) if certain else None,
        "sources": {name: left.source for name, left in found.items() if left is not None},
        "steps": {name: (left.low, left.high) for name, left in found.items() if left is not None},
        "unknown": unknown,
    }


def _time_left(
    step: StepRow, spec: IndexSpec, before: Mapping[str, Sequence[float]], now: datetime
) -> TimeLeft | None:
    spent = 0.0
    if step.started_at:
        spent = max(0.0, (now - step.started_at).total_seconds())
    return (
        _left_by_pace(step, spent)
        or _left_by_settings(step, spec, spent)
        or _left_by_history(before.get(step.name, ()), spent)
    )


def _left_by_pace(step: StepRow, spent: float) -> TimeLeft | None:
    """At the current pace, and at the pace since the step began."""
    progress = read_progress(step.state)
    if progress is None or not progress.rate or not progress.size:
        return None
    if not progress.done or progress.done < progress.size * _LEAST_SHARE:
        return None
    counted = progress.done if progress.records is None else progress.records
    to_come = progress.size / progress.done - 1
    ends = sorted((counted * to_come / progress.rate, spent * to_come))
    return TimeLeft(ends[0], ends[1], f"its pace, {progress.rate:,.0f}/s")


def _left_by_settings(step: StepRow, spec: IndexSpec, spent: float) -> TimeLeft | None:
    """A soak lasts as long as its setting says; so does a stage, or longer if traffic is
    missing."""
    lasts = None
    if step.name in known_steps.STEPS:
        lasts = known_steps.STEPS[step.name].lasts(spec, step.arguments)
    if lasts is None:
        return None
    progress = read_progress(step.state)
    if progress is not None and progress.unit == "looks" and progress.size:
        # A pause takes time, and no looks.
        spent = lasts.low * progress.done / progress.size
    return TimeLeft(max(0.0, lasts.low - spent), max(0.0, lasts.high - spent), lasts.source)


def _left_by_history(taken: Sequence[float], spent: float) -> TimeLeft | None:
    if not taken:
        return None
    words = "the last deployment"
    if len(taken) != 1:
        words = f"the last {len(taken)} deployments"
    return TimeLeft(max(0.0, min(taken) - spent), max(0.0, max(taken) - spent), words)


def _past_durations(session: Session, row: Deployment) -> dict[str, list[float]]:
    """Seconds each step took in the last deployments of this index that went live and did more than
    move the alias, as a rollback does."""
    alike = Deployment.alias == row.alias, Deployment.kind == row.kind, Deployment.id != row.id
    worked = Deployment.steps.any(~has_trait(lambda step: step.moves_alias))
    last = select(Deployment.id).where(*alike, Deployment.status == Status.LIVE, worked)
    ids = list(
        session.scalars(last.order_by(Deployment.created_at.desc()).limit(_DEPLOYMENTS_BACK))
    )
    query = select(StepRow.name, StepRow.started_at, StepRow.finished_at).where(
        StepRow.deployment_id.in_(ids),
        StepRow.status == StepStatus.DONE,
        StepRow.started_at.is_not(None),
    )
    found: dict[str, list[float]] = {}
    for name, started, finished in session.execute(query):
        if started and finished:
            found.setdefault(name, []).append((finished - started).total_seconds())
    return found
