"""Scheduled rebuilds: a deployment is begun, and its end is the run's."""

from functools import partial

from sqlalchemy.orm import Session

from core import occupancy, rebuilding
from core.errors import Refused, Unavailable
from core.lifecycle import RunStatus, Status
from core.models import Deployment
from core.rebuilding import Unchanged
from core.schedules import runs
from core.schedules.runs import Run
from core.services import Services

_ENDS = {
    Status.LIVE: RunStatus.DONE,
    Status.ROLLED_BACK: RunStatus.FAILED,
    Status.NEEDS_OPERATOR: RunStatus.FAILED,
}


def begin(services: Services, run: Run) -> str:
    """Starts the deployment, which is written down in one transaction with whose it is: there is never a second."""
    begun = f"scheduled for {run.nominal_at:%Y-%m-%d %H:%M} UTC"
    try:
        found = rebuilding.rebuild(services, run.alias, actor=run.actor, reason=begun, along=partial(_mark, run))
    except Refused as refused:
        return _refused(services, run, str(refused))
    except Unavailable as away:
        return runs.note(services, run, f"tried again: {away}")
    if isinstance(found, Unchanged):
        return runs.end(services, run, RunStatus.UNCHANGED, found.reason)
    return f"{run.name}: deployment {found}"


def _refused(services: Services, run: Run, why: str) -> str:
    """What is under way on the index may be waited for; nothing else that was refused comes right by itself."""
    with services.sessions() as session:
        busy = occupancy.open_deployment(session, run.alias) or occupancy.running_experiment(session, run.alias)
    if not busy:
        return runs.end(services, run, RunStatus.FAILED, why)
    if run.waits:
        return runs.note(services, run, f"waits: {why}")
    return runs.end(services, run, RunStatus.SKIPPED, why)


def watch(services: Services) -> list[str]:
    """Ends the runs whose deployments have ended."""
    return [line for run, deployment in runs.deployed(services) if (line := _follow(services, run, deployment))]


def _mark(run: Run, session: Session, deployment_id: str) -> None:
    runs.take(session, run, deployment_id=deployment_id, message="")


def _follow(services: Services, run: Run, deployment_id: str) -> str:
    with services.sessions() as session:
        row = session.get_one(Deployment, deployment_id)
    if row.status not in _ENDS:
        return ""
    return runs.end(services, run, _ENDS[row.status], row.message)
