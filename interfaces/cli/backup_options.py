"""Options and arguments that the verbs of backups share."""

import click

from qdrant_rollouts.interfaces.cli.groups import Command
from qdrant_rollouts.interfaces.cli.running import CliContext
from qdrant_rollouts.interfaces.cli.runs import Told, leave_running, wait_for_end


def wait_options(command: Command) -> Command:
    wait = click.option(
        "--wait/--no-wait",
        default=True,
        show_default=True,
        help="Show progress until the run has ended.",
    )
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="How long to wait; the run continues after that.",
    )
    return wait(timeout(command))


def backup_arguments(command: Command) -> Command:
    alias = click.option(
        "--alias", help="Use the latest backup of this index instead of BACKUP_ID."
    )
    return click.argument("backup_id", required=False)(alias(command))


def wait_or_leave(
    context: CliContext, run: str, told: Told, wait: bool, timeout: float | None, as_json: bool
) -> int:
    if wait:
        return wait_for_end(context, run, timeout, as_json, told)
    return leave_running(context, run, as_json, told)
