"""``rollouts alert list``."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, list_options
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@list_options("those")
@json_option
@verb
def show_alerts(alias: str | None, limit: int, as_json: bool) -> int:
    """Lists alerts, newest first, with the result of each delivery."""
    with open_for_reading() as context:
        found = deliveries.list_alerts(context.services, limit, alias)
    if as_json:
        screen.print_json({"alerts": found})
        return DONE
    rows = screen.make_table(
        "AT",
        "SEVERITY",
        "INDEX",
        "WHAT",
        "STATE",
        "CHANNELS",
        "TEXT",
        drop=("STATE", "CHANNELS", "SEVERITY"),
    )
    for row in found:
        told = ", ".join(_describe_delivery(one) for one in row["deliveries"]) or "none yet"
        screen.add_row(
            rows,
            (
                row["at"],
                row["severity"],
                row["index"],
                row["what"],
                row["state"],
                told,
                row["text"],
            ),
        )
    screen.make_console().print(rows if found else Text("no alerts yet"))
    return DONE


def _describe_delivery(delivery: Mapping[str, Any]) -> str:
    words = f"{delivery['channel']} {delivery['status']}"
    if delivery["error"]:
        return f"{words} after {delivery['tries']} tries: {delivery['error']}"
    return words
