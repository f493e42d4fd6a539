"""``rollouts rollback``."""

import click

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option, timeout_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb
from qdrant_rollouts.interfaces.cli.runs import wait_for_end


@click.command()
@click.argument("alias")
@timeout_option(60.0, "How long to wait for the end; the rollback goes on after it.")
@click.option(
    "--now",
    is_flag=True,
    help="Move the alias first; what was written to the live collection since stays there and is "
    "listed.",
)
@reason_option
@json_option
@verb
def roll_back_index(alias: str, timeout: float, now: bool, reason: str, as_json: bool) -> int:
    """Returns to the version before the live one, while it is kept."""
    with open_services(starts=True, needs="rows") as context:
        told = commands.describe_rollback(context.services, alias)
        started = commands.start_rollback(
            context.services, alias, actor=actor(), reason=reason, now=now
        )
        if told and not now:
            screen.print_note(f"{alias}: {told}")
        return wait_for_end(context, started, timeout, as_json)
