"""Scheduled backups of the live collection; the index's retention says how many are kept."""

from sqlalchemy.orm import Session

from qdrant_rollouts.core.deployments import alias_lock, backups
from qdrant_rollouts.core.deployments.commands import InTransaction
from qdrant_rollouts.core.operations.schedules import deployments
from qdrant_rollouts.core.operations.schedules.runs import Run
from qdrant_rollouts.core.services import Services


def begin_scheduled_backup(services: Services, run: Run) -> str:
    def start(along: InTransaction, reason: str) -> str:
        made = backups.create_backup(
            services, run.alias, actor=run.actor, reason=reason, along=along
        )
        return f"{run.name}: backup {made}"

    return deployments.begin_scheduled_run(services, run, start, _find_open_backup)


def _find_open_backup(session: Session, alias: str) -> object:
    return alias_lock.find_open_deployment(session, alias, "backup")
