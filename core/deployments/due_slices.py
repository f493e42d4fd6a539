"""The turns of slices that are due, and the knocks for them.

Rule: a slice has turns only while its deployment runs and nothing is requested of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.lifecycle import SliceStatus, Status
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.services import Services

#: The name of the task that takes a turn of a slice, and its queue.
FILL = "fill"
QUEUE = "bulk"


def is_wanted() -> ColumnElement[bool]:
    """Says of a slice that it may have turns now."""
    mine = Deployment.id == SliceRow.deployment_id
    return exists().where(mine, Deployment.status == Status.RUNNING, Deployment.requested.is_(None))


def knock_due(services: Services, most: int, deployment_id: str | None = None) -> list[Knock]:
    """Knocks for at most ``most`` slices, of one deployment or of all: those that are due for
    longest. Returns the knocks. Safe to repeat."""
    times = services.times
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        late = now - timedelta(seconds=times.knock_again_after)
        rows = _take_unanswered(session, now, late, most, deployment_id)
        aliases = _read_aliases(session, rows)
        knocks = [knock_for(row, aliases[row.deployment_id], now, again=True) for row in rows]
        for row in rows:
            key = SliceRow.deployment_id == row.deployment_id, SliceRow.number == row.number
            session.execute(
                update(SliceRow).where(*key).values(knocked_at=now),
                execution_options={"synchronize_session": False},
            )
    for knock in knocks:
        services.knock(knock)
    return knocks


def knock_for(row: SliceRow, alias: str, now: datetime, *, again: bool = False) -> Knock:
    """Returns the knock that asks for the slice's next turn when it is due."""
    return Knock(
        deployment_id=row.deployment_id,
        turn=row.turn,
        step=FILL,
        queue=QUEUE,
        countdown=max(0.0, (row.wake_at - now).total_seconds()),
        label=f"{alias} slice {row.number + 1} turn {row.turn} try {row.tries + 1}",
        again=again,
        slice=row.number,
    )


def _take_unanswered(
    session: Session, now: datetime, late: datetime, most: int, deployment_id: str | None
) -> list[SliceRow]:
    quiet = or_(
        SliceRow.knocked_at.is_(None),
        SliceRow.knocked_at < SliceRow.wake_at,
        SliceRow.knocked_at <= late,
    )
    query = select(SliceRow).where(
        SliceRow.status == SliceStatus.FILLING,
        SliceRow.wake_at <= now,
        or_(SliceRow.lease_until.is_(None), SliceRow.lease_until < now),
        quiet,
        is_wanted(),
    )
    if deployment_id is not None:
        query = query.where(SliceRow.deployment_id == deployment_id)
    query = query.order_by(SliceRow.wake_at, SliceRow.deployment_id, SliceRow.number).limit(most)
    return list(session.scalars(query.with_for_update(skip_locked=True)))


def _read_aliases(session: Session, rows: Sequence[SliceRow]) -> dict[str, str]:
    ids = {row.deployment_id for row in rows}
    query = select(Deployment.id, Deployment.alias).where(Deployment.id.in_(ids))
    return {row.id: row.alias for row in session.execute(query)}
