"""``backup create``, ``verify``, ``restore``."""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli.deploying import Told, leave, see_through
from qdrant_rollouts.interfaces.cli.running import House, actor, opened


def create(alias: str, keep: int | None, wait: bool, timeout: float | None, reason: str, as_json: bool) -> int:
    with opened(starts=True, needs="store") as house:
        run = backups.create(house.services, alias, actor=actor(), reason=reason, keep=keep)
        return _ended(house, run, lambda: backups.record(house.services, run), wait, timeout, as_json)


def verify(
    backup_id: str | None, alias: str | None, wait: bool, timeout: float | None, reason: str, as_json: bool
) -> int:
    with opened(starts=True, needs="store") as house:
        run = backups.verify(house.services, backup=backup_id, alias=alias, actor=actor(), reason=reason)
        return _ended(house, run, lambda: backups.verification(house.services, run), wait, timeout, as_json)


def restore(
    backup_id: str | None, alias: str | None, wait: bool, timeout: float | None, reason: str, as_json: bool
) -> int:
    with opened(starts=True, needs="store") as house:
        run = backups.restore(house.services, backup=backup_id, alias=alias, actor=actor(), reason=reason)

        def told() -> Mapping[str, Any]:
            found = queries.deployment(house.services, run)
            return {**found, "backup_id": backups.restored_from(house.services, run)}

        return _ended(house, run, told, wait, timeout, as_json)


def _ended(house: House, run: str, told: Told, wait: bool, timeout: float | None, as_json: bool) -> int:
    if wait:
        return see_through(house, run, timeout, as_json, told)
    return leave(house, run, as_json, told)
