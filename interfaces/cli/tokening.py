"""``token create``, ``list``, ``revoke``."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from core import tokens
from interfaces.cli import screen
from interfaces.cli.running import DONE, actor, opened


def create(name: str, scopes: Sequence[str], reason: str, as_json: bool) -> int:
    with opened() as house:
        made = tokens.create(house.services, name, scopes, actor=actor(), reason=reason)
    if as_json:
        screen.emit(made)
        return DONE
    screen.note("it is shown this once; keep it where secrets are kept")
    screen.console().print(Text(made["token"]), soft_wrap=True)
    return DONE


def list_(as_json: bool) -> int:
    with opened() as house:
        found = tokens.listed(house.services)
    if as_json:
        screen.emit({"tokens": found})
        return DONE
    rows = screen.table("NAME", "SCOPES", "MADE", "BY", "LAST USED", "REVOKED")
    for one in found:
        screen.row(rows, (one["name"], ", ".join(one["scopes"]), *_moments(one)))
    screen.console().print(
        rows if found else Text("no tokens yet; `rollouts token create NAME --scope read` makes one")
    )
    return DONE


def revoke(name: str, reason: str, as_json: bool) -> int:
    with opened() as house:
        answer = tokens.revoke(house.services, name, actor=actor(), reason=reason)
    if as_json:
        screen.emit(answer)
    else:
        screen.console().print(Text(f"{name} is revoked"))
    return DONE


def _moments(one: dict[str, Any]) -> tuple[Any, ...]:
    return one["created_at"], one["actor"], one["last_used_at"] or "never", one["revoked_at"]
