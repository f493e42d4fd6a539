"""``token list``."""

from typing import Any

from rich.text import Text

from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, looked


def list_(as_json: bool) -> int:
    with looked() as house:
        found = tokens.listed(house.services)
    if as_json:
        screen.emit({"tokens": found})
        return DONE
    rows = screen.table("NAME", "SCOPES", "MADE", "BY", "LAST USED", "REVOKED", drop=("MADE", "BY", "LAST USED"))
    for one in found:
        screen.row(rows, (one["name"], ", ".join(one["scopes"]), *_moments(one)))
    screen.console().print(
        rows if found else Text("no tokens yet; `rollouts token create NAME --scope read` makes one")
    )
    return DONE


def _moments(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["created_at"], one["actor"], one["last_used_at"] or "never", one["revoked_at"]
