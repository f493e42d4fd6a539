"""``backup create``, ``verify``, ``restore``."""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli.deploying import Told, leave_running, wait_for_end
from qdrant_rollouts.interfaces.cli.running import CliContext, actor, open_services


def run_backup(alias: str, keep: int | None, wait: bool, timeout: float | None, reason: str, as_json: bool) -> int:
    with open_services(starts=True, needs="store") as house:
        run = backups.create_backup(house.services, alias, actor=actor(), reason=reason, keep=keep)
        return _wait_or_leave(house, run, lambda: backups.get_backup(house.services, run), wait, timeout, as_json)


def run_verification(
    backup_id: str | None, alias: str | None, wait: bool, timeout: float | None, reason: str, as_json: bool
) -> int:
    with open_services(starts=True, needs="store") as house:
        run = backups.verify_backup(house.services, backup=backup_id, alias=alias, actor=actor(), reason=reason)
        return _wait_or_leave(house, run, lambda: backups.get_verification(house.services, run), wait, timeout, as_json)


def run_restore(
    backup_id: str | None, alias: str | None, wait: bool, timeout: float | None, reason: str, as_json: bool
) -> int:
    with open_services(starts=True, needs="store") as house:
        run = backups.restore_backup(house.services, backup=backup_id, alias=alias, actor=actor(), reason=reason)

        def told() -> Mapping[str, Any]:
            found = queries.get_deployment(house.services, run)
            return {**found, "backup_id": backups.get_restored_backup(house.services, run)}

        return _wait_or_leave(house, run, told, wait, timeout, as_json)


def _wait_or_leave(house: CliContext, run: str, told: Told, wait: bool, timeout: float | None, as_json: bool) -> int:
    if wait:
        return wait_for_end(house, run, timeout, as_json, told)
    return leave_running(house, run, as_json, told)
