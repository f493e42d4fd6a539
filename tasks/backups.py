"""Backups by name (contract section 3): made, tried out, restored."""

from collections.abc import Callable, Mapping
from typing import Any

from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.services import Services

Answer = Mapping[str, Any]
ACTOR = "celery"


def create(
    services: Services, alias_name: str, keep: int | None = None, reason: str = "", actor: str = ACTOR
) -> Answer:
    made = backups.create(services, alias_name, actor=actor, reason=reason, keep=keep)
    return backups.record(services, made)


def verify(
    services: Services,
    alias_name: str | None = None,
    backup_id: str | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> Answer:
    run = backups.verify(services, backup=backup_id, alias=alias_name, actor=actor, reason=reason)
    return backups.verification(services, run)


def restore(
    services: Services,
    alias_name: str | None = None,
    backup_id: str | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> Answer:
    started = backups.restore(services, backup=backup_id, alias=alias_name, actor=actor, reason=reason)
    return {**queries.started(services, started), "backup_id": backups.restored_from(services, started)}


COMMANDS: dict[str, Callable[..., Answer]] = {
    "backups.create": create,
    "backups.verify": verify,
    "backups.restore": restore,
}
