"""Scheduled rebuilds: begins a deployment, unless nothing has changed."""

from sqlalchemy.orm import Session

from qdrant_rollouts.core.deployments import alias_lock
from qdrant_rollouts.core.deployments.commands import InTransaction, rebuilding
from qdrant_rollouts.core.deployments.commands.rebuilding import Unchanged
from qdrant_rollouts.core.lifecycle import RunStatus
from qdrant_rollouts.core.operations.schedules import deployments, runs
from qdrant_rollouts.core.operations.schedules.runs import Run
from qdrant_rollouts.core.services import Services


def begin_scheduled_rebuild(services: Services, run: Run) -> str:
    def start(along: InTransaction, reason: str) -> str:
        found = rebuilding.rebuild_index(
            services, run.alias, actor=run.actor, reason=reason, along=along
        )
        if isinstance(found, Unchanged):
            return runs.end_run(services, run, RunStatus.UNCHANGED, found.reason)
        return f"{run.name}: deployment {found}"

    return deployments.begin_scheduled_run(services, run, start, _find_what_blocks)


def _find_what_blocks(session: Session, alias: str) -> object:
    return alias_lock.find_open_deployment(session, alias) or alias_lock.find_running_experiment(
        session, alias
    )
