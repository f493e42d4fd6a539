"""Lists that grow without end, one page at a time; and a single index with all its data."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, load_only

from qdrant_rollouts.core.database.models import AliasState, Deletion, Deployment, EventRow, StepRow
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.database.step_data import show_progress
from qdrant_rollouts.core.deployments import places
from qdrant_rollouts.core.deployments.turns import find_current_step
from qdrant_rollouts.core.errors import Unknown
from qdrant_rollouts.core.lifecycle import FINAL, OPEN_RUNS, Status
from qdrant_rollouts.core.operations.choices import check_choice
from qdrant_rollouts.core.operations.schedules.declared import (
    normalize_spec,
    overlay_declared,
    start_of,
    status_of,
)
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.operations.views.overview import fallback
from qdrant_rollouts.core.operations.views.overview.actions.indexes import actions_of_index
from qdrant_rollouts.core.operations.views.overview.actions.schedules import actions_of_schedule
from qdrant_rollouts.core.operations.views.overview.run import why_busy
from qdrant_rollouts.core.operations.views.overview.step_labels import label_step
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.operations.views.paging import find_place
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

PageData = dict[str, Any]

PAGE_SIZE = 50
OUTCOMES = {
    "live": (Status.LIVE,),
    "completed": (Status.COMPLETED,),
    "rolled_back": (Status.ROLLED_BACK,),
    "running": tuple(status for status in Status if status not in FINAL),
    "needs_operator": (Status.NEEDS_OPERATOR,),
}


def list_history(services: Services, alias: str = "", outcome: str = "", page: int = 1) -> PageData:
    """Returns deployments of all kinds, newest first, ``PAGE_SIZE`` at a time; in place of a page
    beyond the last one, the last. Raises Malformed for an unknown outcome."""
    chosen: list[ColumnElement[bool]] = []
    if alias:
        chosen = [Deployment.alias == alias]
    if outcome:
        check_choice("outcome", outcome, OUTCOMES)
        chosen.append(Deployment.status.in_(OUTCOMES[outcome]))
    query = select(Deployment).where(*chosen).order_by(Deployment.created_at.desc(), Deployment.id)
    query = query.options(load_only(*queries.SUMMARY_COLUMNS))
    with services.sessions() as session:
        total = session.scalar(select(func.count()).select_from(Deployment).where(*chosen)) or 0
        place = find_place(page, total, PAGE_SIZE)
        before = (place.page - 1) * PAGE_SIZE
        rows = session.scalars(query.limit(PAGE_SIZE).offset(before)).all()
        open_ = {row.id: row.status for row in rows if row.status not in FINAL}
        steps = _label_current_steps(open_, session.scalars(_select_steps(list(open_))))
        queue = places.queue(session, open_)
        aliases = list(
            session.scalars(select(Deployment.alias).distinct().order_by(Deployment.alias))
        )
    listed = [
        {**queries.summarize_deployment(row, queue), "step": steps.get(row.id, "")} for row in rows
    ]
    return {
        "deployments": listed,
        "place": place,
        "aliases": aliases,
        "outcomes": list(OUTCOMES),
    }


def _select_steps(ids: Sequence[str]) -> Any:
    return (
        select(StepRow)
        .where(StepRow.deployment_id.in_(ids))
        .order_by(StepRow.deployment_id, StepRow.position)
    )


def _label_current_steps(statuses: Mapping[str, Status], rows: Any) -> dict[str, str]:
    """Returns the step that each deployment is at, by deployment."""
    found: dict[str, list[StepRow]] = {}
    for row in rows:
        found.setdefault(row.deployment_id, []).append(row)
    current = {id: find_current_step(statuses[id], steps) for id, steps in found.items()}
    return {
        id: label_step(step.name, step.arguments)
        for id, step in current.items()
        if step is not None
    }


def check_index_known(services: Services, alias: str, seen: StoreSnapshot) -> None:
    """Raises Unknown for an index that was never deployed, is not declared, and has no alias."""
    with services.sessions() as session:
        _check_known(session, alias, seen)


def _check_known(session: Session, alias: str, seen: StoreSnapshot) -> None:
    if alias in seen.declared or alias in (seen.aliases or {}):
        return
    if session.get(AliasState, alias) is not None:
        return
    deployed = select(Deployment.id).where(Deployment.alias == alias).limit(1)
    if session.scalars(deployed).first() is None:
        raise Unknown(f"nothing is known of an index {alias}")


def describe_index(services: Services, alias: str, seen: StoreSnapshot) -> PageData:
    """Returns what is running on one index, its rollback, and what can be done with it. Raises
    Unknown."""
    with services.sessions() as session:
        now = services.clock.now(session)
        state = session.get(AliasState, alias)
        live = state.desired if state else (seen.aliases or {}).get(alias)
        taken = why_busy(session, alias)
        _check_known(session, alias, seen)
        going = session.scalars(
            select(Deletion)
            .where(Deletion.alias == alias)
            .order_by(Deletion.finished_at.is_not(None), Deletion.id.desc())
        ).fetchmany(10)
        deletions = queries.describe_deletions(services, session, going)
    back = fallback.describe_way_back(services, alias, live, taken, seen)
    declared = seen.declared.get(alias)
    return {
        "now": as_iso(now),
        "alias": alias,
        "live": live,
        "rollback": back,
        "busy": taken,
        "deletions": deletions,
        "actions": actions_of_index(alias, taken, declared, back),
        "declared": declared.model_dump(mode="json", exclude_defaults=True) if declared else None,
    }


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


def change_stamp(services: Services) -> str:
    """Returns a text that differs whenever the content of a page may have changed: it contains the
    newest event, the turns and requests of running deployments, and every position that is being
    saved. Only steps whose turn a worker holds save one, so only their states are read."""
    open_ = Deployment.status.not_in(FINAL)
    counted = select(func.count(), func.sum(Deployment.turn), func.count(Deployment.requested))
    saved = select(Deployment.id, StepRow.state).join(Deployment.steps)
    saved = saved.where(
        open_,
        Deployment.lease_until.is_not(None),
        StepRow.finished_at.is_(None),
        StepRow.started_at.is_not(None),
    )
    with services.sessions() as session:
        newest = session.scalar(select(func.max(EventRow.id)))
        turns = session.execute(counted.where(open_)).one()
        moving = [(id, show_progress(state)) for id, state in session.execute(saved)]
    return f"{newest}:{tuple(turns)}:{hash(repr(sorted(map(repr, moving))))}"
