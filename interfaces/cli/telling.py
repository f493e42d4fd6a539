"""``events`` and ``alert list``, ``alert test``."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from core import deliveries, queries
from interfaces.cli import screen
from interfaces.cli.running import DONE, UNREACHABLE, actor, opened


def events_(alias: str | None, limit: int, as_json: bool) -> int:
    with opened() as house:
        found = queries.events(house.services, alias, limit)
    if as_json:
        screen.emit({"events": found})
        return DONE
    rows = screen.table("AT", "ALIAS", "EVENT", "ACTOR", "THROUGH", "DETAIL")
    for row in found:
        cells = (row["at"], row["alias"], row["event"], row["actor"], row["source"], _why(row))
        screen.row(rows, cells)
    screen.console().print(rows if found else Text("nothing happened yet"))
    return DONE


def list_(alias: str | None, limit: int, as_json: bool) -> int:
    with opened() as house:
        found = deliveries.listed(house.services, limit, alias)
    if as_json:
        screen.emit({"alerts": found})
        return DONE
    rows = screen.table("AT", "SEVERITY", "INDEX", "WHAT", "STATE", "CHANNELS", "TEXT")
    for row in found:
        told = ", ".join(_told(one) for one in row["deliveries"]) or "none yet"
        screen.row(rows, (row["at"], row["severity"], row["index"], row["what"], row["state"], told, row["text"]))
    screen.console().print(rows if found else Text("no alerts yet"))
    return DONE


def test(channel: str | None, reason: str, as_json: bool) -> int:
    with opened() as house:
        faults = deliveries.try_channels(house.services, channel, actor=actor(), reason=reason)
    if as_json:
        screen.emit({"channels": {name: {"sent": not fault, "error": fault} for name, fault in faults.items()}})
    else:
        rows = screen.table("CHANNEL", "TEST", "WHAT WENT WRONG")
        for name, fault in faults.items():
            screen.row(rows, (name, screen.word("fail" if fault else "ok"), fault))
        screen.console().print(rows)
    return UNREACHABLE if any(faults.values()) else DONE


def _told(delivery: Mapping[str, Any]) -> str:
    words = f"{delivery['channel']} {delivery['status']}"
    return f"{words} after {delivery['tries']} tries: {delivery['error']}" if delivery["error"] else words


def _why(row: Mapping[str, Any]) -> str:
    detail, reason = row["detail"], row["reason"]
    return f"{detail} ({reason})" if reason and reason not in detail else detail
