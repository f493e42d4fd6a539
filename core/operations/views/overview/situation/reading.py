"""Reads what the situation of a run needs beside its own rows: what serves, how long it takes, and
whether the version before is kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.deployments import Deployment as DeploymentAnswer
from qdrant_rollouts.core.collections.deletion.deletions import OPEN_STATUSES, find_last_deletions
from qdrant_rollouts.core.collections.serving_history import read_history
from qdrant_rollouts.core.database.models import AliasState, Deployment, Version
from qdrant_rollouts.core.deployments import way_back
from qdrant_rollouts.core.deployments.turns import current_step
from qdrant_rollouts.core.lifecycle import DeletionStatus, Place, Status
from qdrant_rollouts.core.operations.views.overview import eta
from qdrant_rollouts.core.operations.views.overview.situation.parts import Surroundings
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.times import as_iso

#: Only for these statuses can the end be predicted: a pause lasts as long as a person wants, and a
#: rollback does not take the remaining steps.
_GOES_ON = (Status.PENDING, Status.RUNNING)


def survey_surroundings(
    session: Session, row: Deployment, told: DeploymentAnswer, now: datetime, seen: StoreSnapshot
) -> Surroundings:
    live = session.scalars(select(AliasState.desired).where(AliasState.alias == row.alias)).first()
    step = current_step(row)
    left = None
    if row.status in _GOES_ON and row.place != Place.WAITING:
        left = eta.estimate_end(session, row, now)
    kept_until, gone = _find_fate(session, row, seen)
    return Surroundings(
        paused_for=row.paused_for,
        paused_at=_find_pause(told),
        position=None if step is None else step.position,
        eta=left,
        live=live,
        back=_name_way_back(session, row),
        named=_name_versions(session, [row.green, row.blue, live]),
        kept_until=kept_until,
        gone=gone,
    )


def is_seen_gone(row: Deployment, name: str, seen: StoreSnapshot) -> bool:
    """Only an observation after the end counts: before it, a collection may just have been
    created."""
    if seen.collections is None or seen.error or seen.at is None or row.finished_at is None:
        return False
    return seen.at > row.finished_at and name not in seen.collections


def _find_fate(session: Session, row: Deployment, seen: StoreSnapshot) -> tuple[str | None, bool]:
    """Returns until when the version before is kept, and whether it is gone."""
    if row.blue is None:
        return None, False
    deletion = find_last_deletions(session, [row.blue]).get(row.blue)
    if deletion is None:
        return None, is_seen_gone(row, row.blue, seen)
    gone = deletion.status == DeletionStatus.DELETED or is_seen_gone(row, row.blue, seen)
    return as_iso(deletion.due_at) if deletion.status in OPEN_STATUSES else None, gone


def _name_way_back(session: Session, row: Deployment) -> tuple[str, ...]:
    if row.blue is None:
        return ()
    return way_back.name_way(row.green, row.blue, read_history(session, row.alias))


def _name_versions(session: Session, collections: Sequence[str | None]) -> Mapping[str, str]:
    """Returns how people call those collections that are versions."""
    numbers = select(Version.collection, Version.number).where(
        Version.collection.in_([name for name in collections if name])
    )
    return {name: f"version {number}" for name, number in session.execute(numbers) if number}


def _find_pause(told: DeploymentAnswer) -> str | None:
    """Returns since when it is paused; None if it is not."""
    if told["status"] != Status.PAUSED:
        return None
    times = (one["at"] for one in reversed(told["events"]) if one["event"] == "deployment.paused")
    return next(times, None)
