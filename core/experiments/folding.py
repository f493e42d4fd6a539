"""Keeps the tables of experiments small: adds up sketches, and deletes keys that can no longer be
repeated."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.experiment_rows import FeedbackKey, Impression, SketchRow
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

#: How many sketches of one arm are folded in one transaction: a sketch may have some hundred
#: thousand cells.
_MOST_ROWS = 200
_GROUP_COLUMNS = (
    SketchRow.experiment_id,
    SketchRow.metric,
    SketchRow.variant,
    SketchRow.stage,
    SketchRow.closes_at,
)


def fold_sketches(services: Services, days: float = 60) -> int:
    """Leaves one sketch for each arm and end of windows, and one for all windows that have ended.

    Deletes keys of feedback older than ``days``, and lists that can no longer be clicked. Returns
    by how many the sketches decreased. Safe to run in parallel: rows that another process is
    folding are skipped.
    """
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        session.execute(update(SketchRow).where(SketchRow.closes_at <= now).values(closes_at=None))
        session.execute(delete(FeedbackKey).where(FeedbackKey.at < now - timedelta(days=days)))
        session.execute(delete(Impression).where(Impression.closes_at < now - timedelta(days=1)))
        several = select(*_GROUP_COLUMNS).group_by(*_GROUP_COLUMNS).having(func.count() > 1)
        groups = session.execute(several).all()
    return sum(_fold_group(services, group) for group in groups)


def _fold_group(services: Services, group: Sequence[Any]) -> int:
    with services.sessions.begin() as session:
        rows = _rows_of_group(session, *group)
        if len(rows) < 2:
            return 0
        total = TrafficSketch()
        for row in rows:
            total.merge(TrafficSketch.from_json(row.tally))
        rows[0].tally = total.to_json()
        for row in rows[1:]:
            session.delete(row)
        return len(rows) - 1


def _rows_of_group(
    session: Session,
    experiment_id: str,
    metric: str,
    variant: str,
    stage: int,
    closes_at: datetime | None,
) -> Sequence[SketchRow]:
    query = select(SketchRow).where(
        SketchRow.experiment_id == experiment_id,
        SketchRow.metric == metric,
        SketchRow.variant == variant,
        SketchRow.stage == stage,
        SketchRow.closes_at.is_not_distinct_from(closes_at),
    )
    return session.scalars(
        query.order_by(SketchRow.id).limit(_MOST_ROWS).with_for_update(skip_locked=True)
    ).all()
