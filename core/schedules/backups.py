"""Scheduled backups: of what serves, and as many are kept as the index's retention says."""

from sqlalchemy.orm import Session

from core import backups, occupancy
from core.commands import Along
from core.schedules import deployments
from core.schedules.runs import Run
from core.services import Services


def begin(services: Services, run: Run) -> str:
    def start(along: Along, reason: str) -> str:
        made = backups.create(services, run.alias, actor=run.actor, reason=reason, along=along)
        return f"{run.name}: backup {made}"

    return deployments.begin(services, run, start, _busy)


def _busy(session: Session, alias: str) -> object:
    return occupancy.open_deployment(session, alias, "backup")
