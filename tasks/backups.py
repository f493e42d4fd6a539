"""Tasks for backups (contract section 3): create, verify, restore."""

from collections.abc import Callable, Mapping
from typing import Any

from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.deployments.commands import InTransaction
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.tasks.once import begin_once

Answer = Mapping[str, Any]
ACTOR = "celery"


@begin_once(backups.get_backup)
def create_backup(
    services: Services,
    along: InTransaction,
    alias_name: str,
    keep: int | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    return backups.create_backup(
        services, alias_name, actor=actor, reason=reason, keep=keep, along=along
    )


@begin_once(backups.get_verification)
def verify_backup(
    services: Services,
    along: InTransaction,
    alias_name: str | None = None,
    backup_id: str | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    return backups.verify_backup(
        services, backup=backup_id, alias=alias_name, actor=actor, reason=reason, along=along
    )


def _describe_restore(services: Services, started: str) -> Answer:
    return {
        **queries.describe_started(services, started),
        "backup_id": backups.get_restored_backup(services, started),
    }


@begin_once(_describe_restore)
def restore_backup(
    services: Services,
    along: InTransaction,
    alias_name: str | None = None,
    backup_id: str | None = None,
    reason: str = "",
    actor: str = ACTOR,
) -> str:
    return backups.restore_backup(
        services, backup=backup_id, alias=alias_name, actor=actor, reason=reason, along=along
    )


COMMANDS: dict[str, Callable[..., Answer]] = {
    "backups.create": create_backup,
    "backups.verify": verify_backup,
    "backups.restore": restore_backup,
}
