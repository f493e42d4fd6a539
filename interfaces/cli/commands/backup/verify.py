"""``rollouts backup verify``."""

import click

from qdrant_rollouts.core.deployments import backups
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
def run_verification(
    backup_id: str | None,
    alias: str | None,
    wait: bool,
    timeout: float | None,
    reason: str,
    as_json: bool,
) -> int:
    """Restores a backup under a temporary name, compares it, drops it.

    The exit code is 0 only if everything is as the manifest says.
    """
    with open_services(starts=True, needs="store") as context:
        run = backups.verify_backup(
            context.services, backup=backup_id, alias=alias, actor=actor(), reason=reason
        )
        return wait_or_leave(
            context,
            run,
            lambda: backups.get_verification(context.services, run),
            wait,
            timeout,
            as_json,
        )
