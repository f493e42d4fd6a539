"""``rollouts experiment list``."""

import click

from qdrant_rollouts.core.experiments import listing
from qdrant_rollouts.interfaces.cli import findings, screen
from qdrant_rollouts.interfaces.cli.options import json_option, list_options
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@list_options("those")
@json_option
@verb
def show_experiments(alias: str | None, limit: int, as_json: bool) -> int:
    """Lists experiments, newest first."""
    with open_for_reading() as context:
        found = listing.list_experiments(context.services, alias, limit)
    if as_json:
        screen.print_json({"experiments": found})
    else:
        screen.make_console().print(findings.render_list(found))
    return DONE
