"""The queries for deployments and deletions: rows as plain data for the command line, the pages and
MCP."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.answers import deployments as deployment_answers
from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.database.events import WARNING
from qdrant_rollouts.core.database.models import Deletion, Deployment, EventRow, StepRow
from qdrant_rollouts.core.database.step_data import read_report, show_output, show_progress
from qdrant_rollouts.core.defaults import ROWS
from qdrant_rollouts.core.deployments import abort_notices, places, unclaimed
from qdrant_rollouts.core.deployments.end_messages import find_cause
from qdrant_rollouts.core.deployments.lookup import find_deployment
from qdrant_rollouts.core.lifecycle import OPEN_DELETIONS, Status
from qdrant_rollouts.core.operations.views.audit_events import describe_event
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: What ``summarize_deployment`` reads; a row's other columns may be large.
SUMMARY_COLUMNS = (
    Deployment.id,
    Deployment.alias,
    Deployment.kind,
    Deployment.strategy,
    Deployment.status,
    Deployment.blue,
    Deployment.green,
    Deployment.message,
    Deployment.created_at,
    Deployment.finished_at,
    Deployment.actor,
)

#: Statuses of a deployment that did not go live, or does not any more.
_NOT_LIVE = (Status.ROLLING_BACK, Status.ROLLED_BACK, Status.NEEDS_OPERATOR)


def get_deployment(services: Services, deployment_id: str) -> deployment_answers.Deployment:
    """Returns one deployment with steps, gate report and events (contract section 4)."""
    full = find_deployment(services, deployment_id)
    with services.sessions() as session:
        row = session.get_one(Deployment, full, options=[selectinload(Deployment.steps)])
        found = session.scalars(
            select(EventRow).where(EventRow.deployment_id == full).order_by(EventRow.id)
        )
        return {
            **summarize_deployment(row, places.queue(session, [full])),
            "number": row.number,
            "source": row.source,
            "requested": row.requested,
            "abort_warning": abort_notices.warn_of_abort(row),
            "turn": row.turn,
            "wake_at": as_iso(row.wake_at),
            "lease_owner": row.lease_owner,
            "waits": unclaimed.waits(services, session, services.clock.now(session), row),
            "steps": [_describe_step(step) for step in row.steps],
            "gate": next(filter(None, (read_report(step.output) for step in row.steps)), None),
            "events": [describe_event(event) for event in found],
            "deletions": _deletions_of_deployment(services, session, row),
        }


def _deletions_of_deployment(
    services: Services, session: Session, row: Deployment
) -> list[deployment_answers.Announced]:
    """Returns the deletions that it has caused or will cause, and that of its blue."""
    rules = deletion_notices.read_rules(services)
    whose = or_(Deletion.deployment_id == row.id, Deletion.collection == row.blue)
    query = (
        select(Deletion).where(Deletion.status.in_(OPEN_DELETIONS), whose).order_by(Deletion.due_at)
    )
    told = deletion_notices.describe_open_deletions(session, session.scalars(query).all(), rules)
    coming = deletion_notices.describe_deletions_to_come(
        session, services.clock.now(session), row, rules
    )
    return [*told.values(), *coming]


def list_deployments(
    services: Services,
    alias: str | None = None,
    limit: int = ROWS,
    *,
    status: str | None = None,
    after: str | None = None,
) -> list[deployment_answers.ListedDeployment]:
    """Returns deployments, newest first, with their steps; backups and verifications have their own
    list. ``after``: those that follow this one in the list. Raises Unknown if it does not exist."""
    query = (
        select(Deployment)
        .where(Deployment.kind == "rollout")
        .options(selectinload(Deployment.steps))
    )
    query = query.order_by(Deployment.created_at.desc(), Deployment.id).limit(limit)
    if alias is not None:
        query = query.where(Deployment.alias == alias)
    if status is not None:
        query = query.where(Deployment.status == status)
    if after is not None:
        query = query.where(_where_after(services, find_deployment(services, after)))
    with services.sessions() as session:
        rows = session.scalars(query).all()
        waiting = places.queue(session, [row.id for row in rows])
        return [
            {
                **summarize_deployment(row, waiting),
                "steps": [_describe_step(step) for step in row.steps],
            }
            for row in rows
        ]


def count_deployments(services: Services, alias: str | None = None) -> int:
    """Returns how many deployments ``list_deployments`` has."""
    query = select(func.count()).where(Deployment.kind == "rollout")
    if alias is not None:
        query = query.where(Deployment.alias == alias)
    with services.sessions() as session:
        return session.scalar(query) or 0


def describe_started(services: Services, deployment_id: str) -> deployment_answers.Started:
    """Returns the answer of a task that starts a deployment (contract section 3)."""
    with services.sessions() as session:
        row = session.get_one(Deployment, deployment_id)
        said = select(EventRow.detail).where(
            EventRow.deployment_id == row.id, EventRow.event == WARNING
        )
        warnings = list(session.scalars(said.order_by(EventRow.id)))
    answer: deployment_answers.Started = {
        "deployment_id": row.id,
        "status": str(row.status),
        "alias": row.alias,
        "old_collection": row.blue,
        "new_collection": row.green,
    }
    if warnings:
        return {**answer, "warnings": warnings}
    return answer


def list_deletions(services: Services, limit: int = ROWS) -> list[deployment_answers.Deletion]:
    """Returns coming deletions first, then the latest that ended."""
    with services.sessions() as session:
        rows = session.scalars(
            select(Deletion)
            .order_by(Deletion.finished_at.is_not(None), Deletion.id.desc())
            .limit(limit)
        )
        return describe_deletions(services, session, rows.all())


def describe_deletions(
    services: Services, session: Session, rows: Sequence[Deletion]
) -> list[deployment_answers.Deletion]:
    told = deletion_notices.describe_open_deletions(
        session, rows, deletion_notices.read_rules(services)
    )
    return [_describe_deletion(row, told.get(row.id)) for row in rows]


def _where_after(services: Services, deployment_id: str) -> ColumnElement[bool]:
    with services.sessions() as session:
        last = session.get_one(Deployment, deployment_id)
    same_moment = and_(Deployment.created_at == last.created_at, Deployment.id > last.id)
    return or_(Deployment.created_at < last.created_at, same_moment)


def list_aliases(services: Services) -> dict[str, str]:
    return dict(sorted(services.store.aliases().items()))


def summarize_deployment(
    row: Deployment, waiting: Mapping[str, deployment_answers.Queued]
) -> deployment_answers.DeploymentSummary:
    return {
        "id": row.id,
        "alias": row.alias,
        "kind": row.kind,
        **outline_deployment(row),
        "blue": row.blue,
        "green": row.green,
        "queue": waiting.get(row.id),
    }


def outline_deployment(row: Deployment) -> deployment_answers.DeploymentOutline:
    return {
        "id": row.id,
        "strategy": row.strategy,
        "status": str(row.status),
        "message": row.message,
        "why": _say_why(row),
        "created_at": as_iso(row.created_at),
        "finished_at": as_iso(row.finished_at),
        "actor": row.actor,
    }


def _say_why(row: Deployment) -> str:
    """Returns why it did not go live, or goes back; empty for any other."""
    if row.status not in _NOT_LIVE:
        return ""
    return str(find_cause(row.message))


def _describe_step(step: StepRow) -> deployment_answers.Step:
    return {
        "name": step.name,
        "arguments": step.arguments,
        "status": str(step.status),
        "attempt": step.attempt,
        "tries": step.tries,
        "crashes": step.crashes,
        "started_at": as_iso(step.started_at),
        "finished_at": as_iso(step.finished_at),
        "message": step.message,
        "output": show_output(step.output),
        "progress": show_progress(step.state),
    }


def _describe_deletion(
    row: Deletion, told: deployment_answers.Announced | None
) -> deployment_answers.Deletion:
    return {
        "text": told["text"] if told else row.reason,
        "keep": told["keep"] if told else None,
        "collection": row.collection,
        "alias": row.alias,
        "status": row.status,
        "delete_after": as_iso(row.due_at),
        "finished_at": as_iso(row.finished_at),
        "reason": row.reason,
        "actor": row.actor,
    }
