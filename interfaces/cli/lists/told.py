"""``events`` and ``alert list``."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading


def show_events(alias: str | None, limit: int, as_json: bool) -> int:
    with open_for_reading() as house:
        found = queries.list_events(house.services, alias, limit)
    if as_json:
        screen.print_json({"events": found})
        return DONE
    rows = screen.make_table("AT", "ALIAS", "EVENT", "ACTOR", "THROUGH", "DETAIL", drop=("THROUGH", "ACTOR"))
    for row in found:
        cells = (row["at"], row["alias"], row["event"], row["actor"], row["source"], _describe_reason(row))
        screen.add_row(rows, cells)
    screen.make_console().print(rows if found else Text("nothing happened yet"))
    return DONE


def show_alerts(alias: str | None, limit: int, as_json: bool) -> int:
    with open_for_reading() as house:
        found = deliveries.list_alerts(house.services, limit, alias)
    if as_json:
        screen.print_json({"alerts": found})
        return DONE
    rows = screen.make_table(
        "AT", "SEVERITY", "INDEX", "WHAT", "STATE", "CHANNELS", "TEXT", drop=("STATE", "CHANNELS", "SEVERITY")
    )
    for row in found:
        told = ", ".join(_describe_delivery(one) for one in row["deliveries"]) or "none yet"
        screen.add_row(rows, (row["at"], row["severity"], row["index"], row["what"], row["state"], told, row["text"]))
    screen.make_console().print(rows if found else Text("no alerts yet"))
    return DONE


def _describe_delivery(delivery: Mapping[str, Any]) -> str:
    words = f"{delivery['channel']} {delivery['status']}"
    return f"{words} after {delivery['tries']} tries: {delivery['error']}" if delivery["error"] else words


def _describe_reason(row: Mapping[str, Any]) -> str:
    detail = row["detail"]
    reason = row["reason"]
    return f"{detail} ({reason})" if reason and reason not in detail else detail
