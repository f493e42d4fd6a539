"""Scheduled backups: of what serves, and as many are kept as the index's retention says."""

from sqlalchemy.orm import Session

from qdrant_rollouts.core.deployments import alias_lock as occupancy
from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.deployments.commands import Along
from qdrant_rollouts.core.operations.schedules import deployments
from qdrant_rollouts.core.operations.schedules.runs import Run
from qdrant_rollouts.core.services import Services


def begin(services: Services, run: Run) -> str:
    def start(along: Along, reason: str) -> str:
        made = backups.create(services, run.alias, actor=run.actor, reason=reason, along=along)
        return f"{run.name}: backup {made}"

    return deployments.begin(services, run, start, _busy)


def _busy(session: Session, alias: str) -> object:
    return occupancy.open_deployment(session, alias, "backup")
