"""Runs that begin a run of the engine, a deployment or a backup: its end is theirs.

Rule: it is written down in one transaction with whose it is, so there is never a second.
"""

from collections.abc import Callable
from functools import partial

from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.deployments.commands import Along
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.lifecycle import RunStatus, Status
from qdrant_rollouts.core.operations.schedules import runs
from qdrant_rollouts.core.operations.schedules.runs import Run
from qdrant_rollouts.core.services import Services

_ENDS = {
    Status.LIVE: RunStatus.DONE,
    Status.ROLLED_BACK: RunStatus.FAILED,
    Status.NEEDS_OPERATOR: RunStatus.FAILED,
}


def begin(
    services: Services, run: Run, start: Callable[[Along, str], str], busy: Callable[[Session, str], object]
) -> str:
    """``start`` is given what it must write along and a reason, and returns the line to show. What it refused is waited
    for, if the schedule says so, while ``busy`` finds something of the alias under way; nothing else comes right by
    itself."""
    try:
        return start(partial(_mark, run), f"scheduled for {run.nominal_at:%Y-%m-%d %H:%M} UTC")
    except Refused as refused:
        return _refused(services, run, str(refused), busy)
    except Unavailable as away:
        return runs.note(services, run, f"tried again: {away}")


def watch(services: Services) -> list[str]:
    """Ends the runs whose deployments have ended."""
    return [line for run, deployment in runs.deployed(services) if (line := _follow(services, run, deployment))]


def _mark(run: Run, session: Session, deployment_id: str) -> None:
    runs.take(session, run, deployment_id=deployment_id, message="")


def _refused(services: Services, run: Run, why: str, busy: Callable[[Session, str], object]) -> str:
    with services.sessions() as session:
        found = busy(session, run.alias)
    if not found:
        return runs.end(services, run, RunStatus.FAILED, why)
    if run.waits:
        return runs.note(services, run, f"waits: {why}")
    return runs.end(services, run, RunStatus.SKIPPED, why)


def _follow(services: Services, run: Run, deployment_id: str) -> str:
    with services.sessions() as session:
        row = session.get_one(Deployment, deployment_id)
    if row.status not in _ENDS:
        return ""
    return runs.end(services, run, _ENDS[row.status], row.message)
