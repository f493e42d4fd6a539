"""``rollouts backup restore``."""

from collections.abc import Mapping
from typing import Any

import click

from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.interfaces.cli.backup_options import (
    backup_arguments,
    wait_options,
    wait_or_leave,
)
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb


@click.command()
@backup_arguments
@wait_options
@reason_option
@json_option
@verb
def run_restore(
    backup_id: str | None,
    alias: str | None,
    wait: bool,
    timeout: float | None,
    reason: str,
    as_json: bool,
) -> int:
    """Makes a collection from a backup; it serves if it passes the gate.

    If the alias is gone, it is created again. The collection that serves now is kept for its grace
    period.
    """
    with open_services(starts=True, needs="store") as context:
        run = backups.restore_backup(
            context.services, backup=backup_id, alias=alias, actor=actor(), reason=reason
        )

        def describe_restored() -> Mapping[str, Any]:
            found = get_deployment_with_situation(context.services, run)
            return {**found, "backup_id": backups.get_restored_backup(context.services, run)}

        return wait_or_leave(context, run, describe_restored, wait, timeout, as_json)
