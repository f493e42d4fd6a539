"""``rollouts rollback``."""

import click

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option, timeout_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb
from qdrant_rollouts.interfaces.cli.runs import wait_for_end


@click.command()
@click.argument("alias")
@click.option(
    "--to",
    metavar="VERSION",
    help="Go to this version, by its number or collection, instead of the last one that served; "
    "`rollouts versions ALIAS` lists them.",
)
@click.option("--force", is_flag=True, help="Go to it although it is marked bad; with --to.")
@timeout_option(60.0, "How long to wait for the end; the rollback continues after it.")
@click.option(
    "--now",
    is_flag=True,
    help="Move the alias first; what was written to the live collection since stays there and is "
    "listed.",
)
@reason_option
@json_option
@verb
def roll_back_index(
    alias: str,
    to: str | None,
    force: bool,
    timeout: float,
    now: bool,
    reason: str,
    as_json: bool,
) -> int:
    """Returns to an older version, while it is kept.

    Without --to that is the last version that was live, except versions that a rollback has left or
    that are marked bad.
    """
    with open_services(starts=True, needs="rows") as context:
        told = commands.describe_rollback(context.services, alias, to)
        started = commands.start_rollback(
            context.services, alias, actor=actor(), to=to, force=force, reason=reason, now=now
        )
        if told and not now:
            screen.print_note(f"{alias}: {told}")
        return wait_for_end(context, started, timeout, as_json)
