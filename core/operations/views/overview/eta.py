"""When will it be over? A range, and what it is taken from; where nothing is known of a step, that step is named.

Sources, in this order: a pace that is being kept, times that are settings, the last deployments of this index.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.index_file import IndexSpec, Stage
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.stored_json import stored
from qdrant_rollouts.core.lifecycle import Status, StepStatus
from qdrant_rollouts.core.operations.views.overview.acts import label
from qdrant_rollouts.core.times import iso

#: Deployments of the index that are looked back on.
_LOOKED_BACK = 5
#: A pace that was kept for less than this share of the work says little.
_LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Left:
    """Seconds a step still needs; ``source`` is where that is known from."""

    low: float
    high: float
    source: str


def estimate(session: Session, row: Deployment, now: datetime) -> dict[str, Any]:
    """``low`` and ``high`` are times, None where a step is ``unknown``; ``sources`` by step."""
    spec, before = stored(IndexSpec, row.spec), _before(session, row)
    waiting = [
        step for step in row.steps if step.status in (StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING)
    ]
    found = {label(step.name, step.arguments): _left(step, spec, before, now) for step in waiting}
    unknown = [name for name, left in found.items() if left is None]
    known = [left for left in found.values() if left is not None]
    certain = bool(known) and not unknown
    low, high = (timedelta(seconds=sum(getattr(left, end) for left in known)) for end in ("low", "high"))
    return {
        "low": iso(now + low) if certain else None,
        "high": iso(now + high) if certain else None,
        "sources": {name: left.source for name, left in found.items() if left is not None},
        "steps": {name: (left.low, left.high) for name, left in found.items() if left is not None},
        "unknown": unknown,
    }


def _left(step: StepRow, spec: IndexSpec, before: Mapping[str, Sequence[float]], now: datetime) -> Left | None:
    spent = max(0.0, (now - step.started_at).total_seconds()) if step.started_at else 0.0
    return _paced(step, spent) or _set(step, spec, spent) or _looked_back(before.get(step.name, ()), spent)


def _paced(step: StepRow, spent: float) -> Left | None:
    """At the pace of the moment, and at that since the step began."""
    progress = step.state.get("progress") or {}
    done, size, rate = progress.get("done") or 0, progress.get("size") or 0, progress.get("rate")
    if not rate or not size or done < size * _LEAST_SHARE:
        return None
    records = progress["records"] if progress["unit"] == "source" else done
    ends = sorted((records * (size / done - 1) / rate, spent * (size / done - 1)))
    return Left(ends[0], ends[1], f"its pace, {rate:,.0f}/s")


def _set(step: StepRow, spec: IndexSpec, spent: float) -> Left | None:
    """A soak lasts as long as it is told to; so does a stage, or longer where traffic is missing."""
    if step.name == "soak":
        left = max(0.0, spec.soak.seconds - spent)
        return Left(left, left, "what the soak is set to")
    if step.name == "shift":
        stage = stored(Stage, step.arguments)
        lasts, longest = stage.duration_minutes * 60, stage.duration_minutes * 60 * (1 + spec.canary.extension)
        return Left(max(0.0, lasts - spent), max(0.0, longest - spent), "what the stage is set to")
    return None


def _looked_back(taken: Sequence[float], spent: float) -> Left | None:
    if not taken:
        return None
    words = "the last deployment" if len(taken) == 1 else f"the last {len(taken)} deployments"
    return Left(max(0.0, min(taken) - spent), max(0.0, max(taken) - spent), words)


def _before(session: Session, row: Deployment) -> dict[str, list[float]]:
    """Seconds each step took in the last deployments of this index that went live."""
    alike = Deployment.alias == row.alias, Deployment.kind == row.kind, Deployment.id != row.id
    last = select(Deployment.id).where(*alike, Deployment.status == Status.LIVE, Deployment.strategy != "rollback")
    ids = list(session.scalars(last.order_by(Deployment.created_at.desc()).limit(_LOOKED_BACK)))
    query = select(StepRow.name, StepRow.started_at, StepRow.finished_at).where(
        StepRow.deployment_id.in_(ids), StepRow.status == StepStatus.DONE, StepRow.started_at.is_not(None)
    )
    found: dict[str, list[float]] = {}
    for name, started, finished in session.execute(query):
        if started and finished:
            found.setdefault(name, []).append((finished - started).total_seconds())
    return found
