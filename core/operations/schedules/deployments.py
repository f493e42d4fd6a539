"""Runs that begin a run of the engine, a deployment or a backup, and end with it.

Rule: one transaction records the engine's run and the scheduled run it belongs to, so there is
never a second one.
"""

from collections.abc import Callable
from functools import partial

from sqlalchemy.orm import Session

from qdrant_rollouts.core.deployments.commands import InTransaction
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.lifecycle import RunStatus, Status
from qdrant_rollouts.core.operations.schedules import replacing, runs
from qdrant_rollouts.core.operations.schedules.runs import Run
from qdrant_rollouts.core.services import Services

_RUN_STATUSES = {
    Status.LIVE: RunStatus.DONE,
    Status.COMPLETED: RunStatus.DONE,
    Status.ROLLED_BACK: RunStatus.FAILED,
    Status.NEEDS_OPERATOR: RunStatus.FAILED,
}


def begin_scheduled_run(
    services: Services,
    run: Run,
    start: Callable[[InTransaction, str], str],
    busy: Callable[[Session, str], object],
) -> str:
    """``start`` receives what it must write in the same transaction and a reason, and returns the
    line to show. If it was refused and the schedule says so, the run waits while ``busy`` finds
    something running on the alias; no other refusal goes away by itself. What is found is read
    before the start too, because it may end between the refusal and the answer to it."""
    with services.sessions() as session:
        blocked = bool(busy(session, run.alias))
        waits = run.waits or replacing.is_undoing_replaced(session, run.schedule_id)
    try:
        return start(
            partial(_attach_deployment, run), f"scheduled for {run.nominal_at:%Y-%m-%d %H:%M} UTC"
        )
    except Refused as refused:
        with services.sessions() as session:
            blocked = blocked or bool(busy(session, run.alias))
        return _handle_refusal(services, run, str(refused), blocked=blocked, waits=waits)
    except Unavailable as away:
        return runs.note_on_run(services, run, f"tried again: {away}")


def end_finished_runs(services: Services) -> list[str]:
    """Ends the runs whose deployments have ended."""
    return [
        line
        for run, status, message in runs.list_runs_to_end(services, _RUN_STATUSES)
        if (line := runs.end_run(services, run, _RUN_STATUSES[status], message))
    ]


def _attach_deployment(run: Run, session: Session, deployment_id: str) -> None:
    runs.take_run(session, run, deployment_id=deployment_id, message="")


def _handle_refusal(services: Services, run: Run, why: str, *, blocked: bool, waits: bool) -> str:
    if not blocked:
        return runs.end_run(services, run, RunStatus.FAILED, why)
    if waits:
        return runs.note_on_run(services, run, f"waits: {why}")
    return runs.end_run(services, run, RunStatus.SKIPPED, why)
