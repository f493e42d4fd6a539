"""``rollouts token list``."""

from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@json_option
@verb
def show_tokens(as_json: bool) -> int:
    """Lists tokens: scopes, who created them, and their last use."""
    with open_for_reading() as context:
        found = tokens.list_tokens(context.services)
    if as_json:
        screen.print_json({"tokens": found})
        return DONE
    rows = screen.make_table(
        "NAME", "SCOPES", "MADE", "BY", "LAST USED", "REVOKED", drop=("MADE", "BY", "LAST USED")
    )
    for one in found:
        screen.add_row(rows, (one["name"], ", ".join(one["scopes"]), *_cells_of_token(one)))
    screen.make_console().print(
        rows
        if found
        else Text("no tokens yet; `rollouts token create NAME --scope read` makes one")
    )
    return DONE


def _cells_of_token(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["created_at"], one["actor"], one["last_used_at"] or "never", one["revoked_at"]
