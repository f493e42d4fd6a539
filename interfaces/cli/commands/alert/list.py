"""``rollouts alert list``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core.alerts import sent_alerts
from qdrant_rollouts.core.alerts.sent_alerts import AlertFilter
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, list_options, time_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@list_options("those")
@click.option("--severity", type=click.Choice([str(one) for one in Severity]))
@click.option(
    "--alert", metavar="NAME", help="A name such as deployment.failed, or its first part."
)
@time_option("--since", "Only those that were sent from then on, in UTC.")
@json_option
@verb
def show_alerts(
    alias: str | None,
    limit: int,
    severity: str | None,
    alert: str | None,
    since: datetime | None,
    as_json: bool,
) -> int:
    """Lists alerts, newest first, with the result of each delivery."""
    with open_for_reading() as context:
        wanted = AlertFilter(
            alias=alias,
            severity=Severity(severity) if severity else None,
            what=alert,
            since=since,
        )
        found = sent_alerts.list_alert_page(context.services, wanted, limit)["alerts"]
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
