"""``rollouts events``."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, list_options
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@list_options("those")
@json_option
@verb
def show_events(alias: str | None, limit: int, as_json: bool) -> int:
    """Lists what happened: when, by whom, through what, and why."""
    with open_for_reading() as context:
        found = queries.list_events(context.services, alias, limit)
    if as_json:
        screen.print_json({"events": found})
        return DONE
    rows = screen.make_table(
        "AT", "ALIAS", "EVENT", "ACTOR", "THROUGH", "DETAIL", drop=("THROUGH", "ACTOR")
    )
    for row in found:
        cells = (
            row["at"],
            row["alias"],
            row["event"],
            row["actor"],
            row["source"],
            _describe_reason(row),
        )
        screen.add_row(rows, cells)
    screen.make_console().print(rows if found else Text("nothing happened yet"))
    return DONE


def _describe_reason(row: Mapping[str, Any]) -> str:
    detail = row["detail"]
    reason = row["reason"]
    return f"{detail} ({reason})" if reason and reason not in detail else detail
