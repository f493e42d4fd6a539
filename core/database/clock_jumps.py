"""Repairs what is left when the database's clock was set back: times of turns that lie hours ahead.

Rule: each time is compared with what is possible. No lease can end later than a full lease from
now, and no knock can be in the future. A row that says so was written before the clock was set
back. So the jump may even happen while no process sweeps. A jump ahead needs no repair: what waits
is then due.

The time of a deletion is left alone: people were told that time, and a deletion may be late but not
early.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.cron import next_time
from qdrant_rollouts.core.config.index_file import ScheduleSpec
from qdrant_rollouts.core.database.leases import SLACK
from qdrant_rollouts.core.database.models import OPEN, Deployment
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.lifecycle import SliceStatus


def mend(session: Session, now: datetime, lease: float) -> None:
    """Shortens waits of current turns that refer to a clock that has been set back."""
    longest = now + timedelta(seconds=lease)
    for row in _find_ahead(session, now, longest):
        mine = update(Deployment).where(Deployment.id == row.id, Deployment.turn == row.turn)
        session.execute(
            mine.values(_times(row, now, longest)), execution_options={"synchronize_session": False}
        )
        session.expire(row)
    _mend_slices(session, now, longest)


def _mend_slices(session: Session, now: datetime, longest: datetime) -> None:
    """The same for turns of slices. What waited is due at once: these waits are short."""
    filling = SliceRow.status == SliceStatus.FILLING
    unsynchronized = {"synchronize_session": False}
    held = update(SliceRow).where(filling, SliceRow.lease_until > longest + SLACK)
    session.execute(held.values(lease_until=longest), execution_options=unsynchronized)
    never_waited = and_(SliceRow.knocked_at.is_(None), SliceRow.wake_at > now + SLACK)
    ahead = or_(SliceRow.knocked_at > now + SLACK, never_waited)
    waits = update(SliceRow).where(filling, ahead)
    session.execute(waits.values(wake_at=now, knocked_at=None), execution_options=unsynchronized)


def _find_ahead(session: Session, now: datetime, longest: datetime) -> list[Deployment]:
    """Finds deployments with a time that is not possible, by two indexes: of nearly all there is
    nothing to read."""
    waits = or_(
        Deployment.knocked_at.is_not(None),
        Deployment.wake_at > now + SLACK,
        Deployment.requested.is_not(None),
    )
    written = func.coalesce(Deployment.knocked_at, Deployment.created_at) > now + SLACK
    held = Deployment.lease_until > longest + SLACK
    found = {}
    for ahead in (and_(OPEN, written, waits), and_(OPEN, held)):
        query = select(Deployment).where(ahead).with_for_update(skip_locked=True)
        found.update({row.id: row for row in session.scalars(query)})
    return list(found.values())


def bring_back(session: Session, now: datetime) -> None:
    """Once the clock was seen to be set back, shortens the wait of schedules that have an earlier
    next time. Times that were already handled have their runs, and do not run again."""
    running = (
        select(Schedule)
        .where(Schedule.spec.is_not(None), Schedule.next_at > now)
        .order_by(Schedule.id)
    )
    for row in session.scalars(running.with_for_update()):
        spec = read_stored(ScheduleSpec, row.spec)
        row.next_at = next_time(spec.cron, spec.zone, now)
        row.waiting_since = min(row.waiting_since, now)


def _times(row: Deployment, now: datetime, longest: datetime) -> dict[str, Any]:
    """A living holder renews its lease; a dead one has at most a full lease. A wait begins again. A
    request counts from when its deployment was created, which is ahead now, so it counts as asked
    for."""
    found: dict[str, Any] = {"wake_at": row.wake_at, "knocked_at": row.knocked_at}
    if row.lease_until is not None and row.lease_until > longest:
        found["lease_until"] = longest
    if row.knocked_at is None and row.created_at > now + SLACK:
        found["wake_at"] = min(row.wake_at, now)
        found["knocked_at"] = now if row.requested is not None else None
    elif row.knocked_at is not None and row.knocked_at > now + SLACK:
        found |= {
            "wake_at": now + max(timedelta(), row.wake_at - row.knocked_at),
            "knocked_at": now,
        }
    return found
