"""``rollouts alias list``."""

import click
from rich.text import Text

from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@json_option
@verb
def show_aliases(as_json: bool) -> int:
    """Lists every alias and the collection behind it."""
    with open_for_reading(store=True) as context:
        aliases = queries.list_aliases(context.services)
    if as_json:
        screen.print_json({"aliases": aliases})
        return DONE
    rows = screen.make_table("ALIAS", "COLLECTION")
    for pair in aliases.items():
        screen.add_row(rows, pair)
    screen.make_console().print(rows if aliases else Text("no aliases yet"))
    return DONE
