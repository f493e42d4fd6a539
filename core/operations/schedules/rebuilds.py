"""Scheduled rebuilds: a deployment is begun, unless nothing has changed."""

from sqlalchemy.orm import Session

from qdrant_rollouts.core.deployments import alias_lock as occupancy
from qdrant_rollouts.core.deployments.commands import Along, rebuilding
from qdrant_rollouts.core.deployments.commands.rebuilding import Unchanged
from qdrant_rollouts.core.lifecycle import RunStatus
from qdrant_rollouts.core.operations.schedules import deployments, runs
from qdrant_rollouts.core.operations.schedules.runs import Run
from qdrant_rollouts.core.services import Services


def begin(services: Services, run: Run) -> str:
    def start(along: Along, reason: str) -> str:
        found = rebuilding.rebuild(services, run.alias, actor=run.actor, reason=reason, along=along)
        if isinstance(found, Unchanged):
            return runs.end(services, run, RunStatus.UNCHANGED, found.reason)
        return f"{run.name}: deployment {found}"

    return deployments.begin(services, run, start, _busy)


def _busy(session: Session, alias: str) -> object:
    return occupancy.open_deployment(session, alias) or occupancy.running_experiment(session, alias)
