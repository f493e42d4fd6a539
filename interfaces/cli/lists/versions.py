"""``versions``."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.collections import lineage
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, looked


def versions(alias: str, as_json: bool) -> int:
    with looked(store=True) as house:
        seen = lineage.versions(house.services, alias)
    if as_json:
        screen.emit(seen)
        return DONE
    rows = screen.table(
        "",
        "NUMBER",
        "COLLECTION",
        "STATE",
        "POINTS",
        "MODEL",
        "GATE",
        "MADE",
        "BY",
        drop=("BY", "GATE", "MODEL", "MADE", "POINTS"),
    )
    for row in seen["versions"]:
        screen.row(rows, _line(row))
    out = screen.console()
    out.print(rows)
    screen.print_deletions({"text": row["deletion"]} for row in seen["versions"] if row.get("deletion"))
    if any(row["number"] is None for row in seen["versions"]):
        adopt = f"rollouts adopt {shell_word(alias)}"
        out.print(Text(f"the live collection was made by somebody else; `{adopt}` takes it on", "dim"))
    return DONE


def _line(row: Mapping[str, Any]) -> tuple[object, ...]:
    mark = Text("→", "green") if row["live"] else ""
    state = screen.word(row["state"])
    if row["state"] == "deletion due":
        state.append(f" in {screen.span(screen.seconds_until(row['delete_after']))}")
    made = screen.age(screen.seconds_since(row["created_at"])) if "created_at" in row else ""
    points, gate = row.get("points"), row.get("gate") or {}
    told = (row["number"], row["collection"], state, "" if points is None else f"{points:,}", row.get("model"))
    return (mark, *told, gate.get("verdict"), made, row.get("actor"))
