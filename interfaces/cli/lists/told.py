"""``events`` and ``alert list``."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, looked


def events_(alias: str | None, limit: int, as_json: bool) -> int:
    with looked() as house:
        found = queries.events(house.services, alias, limit)
    if as_json:
        screen.emit({"events": found})
        return DONE
    rows = screen.table("AT", "ALIAS", "EVENT", "ACTOR", "THROUGH", "DETAIL", drop=("THROUGH", "ACTOR"))
    for row in found:
        cells = (row["at"], row["alias"], row["event"], row["actor"], row["source"], _why(row))
        screen.row(rows, cells)
    screen.console().print(rows if found else Text("nothing happened yet"))
    return DONE


def alerts(alias: str | None, limit: int, as_json: bool) -> int:
    with looked() as house:
        found = deliveries.listed(house.services, limit, alias)
    if as_json:
        screen.emit({"alerts": found})
        return DONE
    rows = screen.table(
        "AT", "SEVERITY", "INDEX", "WHAT", "STATE", "CHANNELS", "TEXT", drop=("STATE", "CHANNELS", "SEVERITY")
    )
    for row in found:
        told = ", ".join(_told(one) for one in row["deliveries"]) or "none yet"
        screen.row(rows, (row["at"], row["severity"], row["index"], row["what"], row["state"], told, row["text"]))
    screen.console().print(rows if found else Text("no alerts yet"))
    return DONE


def _told(delivery: Mapping[str, Any]) -> str:
    words = f"{delivery['channel']} {delivery['status']}"
    return f"{words} after {delivery['tries']} tries: {delivery['error']}" if delivery["error"] else words


def _why(row: Mapping[str, Any]) -> str:
    detail, reason = row["detail"], row["reason"]
    return f"{detail} ({reason})" if reason and reason not in detail else detail
