"""Every schedule with its latest run."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.lifecycle import OPEN_RUNS
from qdrant_rollouts.core.operations.schedules.declared import (
    normalize_spec,
    overlay_declared,
    start_of,
    status_of,
)
from qdrant_rollouts.core.operations.views.overview.actions.schedules import actions_of_schedule
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

PageData = dict[str, Any]


def list_latest_schedules(services: Services, seen: StoreSnapshot) -> list[PageData]:
    """Returns every schedule with its latest run, in two queries;
    ``core.operations.schedules.queries`` has the history."""
    with services.sessions() as session:
        rows = overlay_declared(
            session.scalars(select(Schedule)), seen.declared, services.clock.now(session)
        )
        newest = select(func.max(ScheduleRun.id)).group_by(ScheduleRun.schedule_id)
        runs = {
            run.schedule_id: run
            for run in session.scalars(select(ScheduleRun).where(ScheduleRun.id.in_(newest)))
        }
    return [_describe_latest_schedule(row, runs.get(row.id)) for row in rows]


def _describe_latest_schedule(row: Schedule, run: ScheduleRun | None) -> PageData:
    status = status_of(row)
    spec: Mapping[str, Any] = normalize_spec(row.spec, row.action) or {}
    open_run = None
    if run is not None and run.status in OPEN_RUNS:
        open_run = str(run.status)
    return {
        "alias": row.alias,
        "action": row.action,
        "status": status,
        "cron": spec.get("cron"),
        "zone": spec.get("zone"),
        "changed": normalize_spec(row.spec, row.action) != normalize_spec(row.declared, row.action),
        "paused_by": row.paused_by,
        "reason": row.reason,
        "next_at": as_iso(start_of(row)) if status == "on" else None,
        "overdue_since": as_iso(row.told_at),
        "run": _describe_latest_run(run) if run is not None else None,
        "actions": actions_of_schedule(row.alias, row.action, status, open_run),
    }


def _describe_latest_run(run: ScheduleRun) -> PageData:
    return {
        "status": str(run.status),
        "message": run.message,
        "actor": run.actor,
        "deployment_id": run.deployment_id,
        "nominal_at": as_iso(run.nominal_at),
        "finished_at": as_iso(run.finished_at),
    }
