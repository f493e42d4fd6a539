"""The queries for schedules: rows as plain data."""

from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import schedules as schedule_answers
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.lifecycle import SUCCESSES
from qdrant_rollouts.core.operations.schedules import declared
from qdrant_rollouts.core.operations.schedules.declared import normalize_spec
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso


def list_schedules(
    services: Services, alias: str | None = None, limit: int = 5
) -> list[schedule_answers.Schedule]:
    """Returns schedules by alias, with their next time and their last ``limit`` runs, newest first.

    Changes of the index file since the last sweep are shown as that sweep will apply them; nothing
    is written.
    """
    indexes = services.indexes()
    with services.sessions() as session:
        rows = declared.overlay_declared(
            session.scalars(select(Schedule)), indexes, services.clock.now(session)
        )
        return [
            _describe_schedule(session, row, limit) for row in rows if alias in (None, row.alias)
        ]


def get_schedule_run(services: Services, run_id: int) -> schedule_answers.Run:
    with services.sessions() as session:
        return _describe_run(session.get_one(ScheduleRun, run_id))


def _describe_schedule(session: Session, row: Schedule, limit: int) -> schedule_answers.Schedule:
    mine = (
        select(ScheduleRun)
        .where(ScheduleRun.schedule_id == row.id)
        .order_by(ScheduleRun.nominal_at.desc())
    )
    won = session.scalars(mine.where(ScheduleRun.status.in_(SUCCESSES)).limit(1)).first()
    status = declared.status_of(row)
    spec = normalize_spec(row.spec, row.action)
    seen = {
        "alias": row.alias,
        "action": row.action,
        "status": status,
        **(spec or {}),
        "changed": spec != normalize_spec(row.declared, row.action),
        "paused_by": row.paused_by,
        "reason": row.reason,
        "next_at": as_iso(declared.start_of(row)) if status == "on" else None,
        "next_nominal_at": as_iso(row.next_at) if status == "on" else None,
        "last_success_at": as_iso(won.finished_at) if won else None,
        "overdue_since": as_iso(row.told_at),
        "runs": [_describe_run(run) for run in session.scalars(mine.limit(limit))],
    }
    return cast("schedule_answers.Schedule", seen)


def _describe_run(row: ScheduleRun) -> schedule_answers.Run:
    return {
        "id": row.id,
        "nominal_at": as_iso(row.nominal_at),
        "status": str(row.status),
        "message": row.message,
        "actor": row.actor,
        "deployment_id": row.deployment_id,
        "created_at": as_iso(row.created_at),
        "finished_at": as_iso(row.finished_at),
        "result": row.result,
    }
