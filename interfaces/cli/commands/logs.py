"""``rollouts logs``."""

import click
from rich.text import Text

from qdrant_rollouts.core.operations.views import log_lines
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@click.argument("deployment_id")
@click.option(
    "--level",
    type=click.Choice(log_lines.LEVELS),
    default=log_lines.LEVELS[0],
    show_default=True,
    help="The least serious lines to show.",
)
@json_option
@verb
def show_logs(deployment_id: str, level: str, as_json: bool) -> int:
    """Shows what was logged during a deployment's turns.

    DEPLOYMENT_ID can be shortened as long as it fits only one deployment.
    """
    with open_for_reading() as context:
        found = log_lines.list_log_lines(context.services, deployment_id, level)
    if as_json:
        screen.print_json(found)
        return DONE
    out = screen.make_console()
    for line in found["lines"]:
        out.print(Text(log_lines.format_log_line(line)), soft_wrap=True)
    if not found["lines"]:
        out.print(Text("nothing was logged"))
    return DONE
