"""Tasks for backups (contract section 3): create, verify, restore."""

from collections.abc import Callable, Mapping
from typing import Any

from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.services import Services

Answer = Mapping[str, Any]
ACTOR = "celery"


def create_backup(
    services: Services,
    alias_name: str,
    keep: int | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> Answer:
    made = backups.create_backup(services, alias_name, actor=actor, reason=reason, keep=keep)
    return backups.get_backup(services, made)


def verify_backup(
    services: Services,
    alias_name: str | None = None,
    backup_id: str | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> Answer:
    run = backups.verify_backup(
        services, backup=backup_id, alias=alias_name, actor=actor, reason=reason
    )
    return backups.get_verification(services, run)


def restore_backup(
    services: Services,
    alias_name: str | None = None,
    backup_id: str | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> Answer:
    started = backups.restore_backup(
        services, backup=backup_id, alias=alias_name, actor=actor, reason=reason
    )
    return {
        **queries.describe_started(services, started),
        "backup_id": backups.get_restored_backup(services, started),
    }


COMMANDS: dict[str, Callable[..., Answer]] = {
    "backups.create": create_backup,
    "backups.verify": verify_backup,
    "backups.restore": restore_backup,
}
