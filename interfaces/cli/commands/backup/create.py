"""``rollouts backup create``."""

import click

from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.interfaces.cli.backup_options import wait_options, wait_or_leave
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb


@click.command()
@click.argument("alias")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the N latest backups of ALIAS and remove older ones.",
)
@wait_options
@reason_option
@json_option
@verb
def run_backup(
    alias: str, keep: int | None, wait: bool, timeout: float | None, reason: str, as_json: bool
) -> int:
    """Backs up the collection behind ALIAS."""
    with open_services(starts=True, needs="store") as context:
        run = backups.create_backup(
            context.services, alias, actor=actor(), reason=reason, keep=keep
        )
        return wait_or_leave(
            context, run, lambda: backups.get_backup(context.services, run), wait, timeout, as_json
        )
