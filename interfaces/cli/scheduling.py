"""``schedule list``, ``run``, ``pause``, ``resume``, ``set``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.text import Text

from core.naming import shell_word
from core.schedules import commands, queries
from interfaces.cli import screen
from interfaces.cli.deploying import parsed
from interfaces.cli.running import DONE, House, actor, opened
from interfaces.embedded import running_elsewhere

_NOBODY = "nobody runs it until `rollouts up` is started"
_SOON = "it begins within ten seconds; `rollouts schedule list --alias {alias}` shows what became of it"


def list_(alias: str | None, limit: int, as_json: bool) -> int:
    with opened() as house:
        return _shown(house, alias, limit, as_json)


def run(alias: str, action: str, reason: str, as_json: bool) -> int:
    with opened(starts=True) as house:
        asked = commands.run(house.services, alias, action, actor=actor(), reason=reason)
        seen = queries.run(house.services, asked)
        nobody = house.runner is not None and running_elsewhere() is None
    screen.note(_NOBODY if nobody else _SOON.format(alias=shell_word(alias)))
    if as_json:
        screen.emit({"alias": alias, "action": action, **seen})
    return DONE


def pause(alias: str, action: str | None, reason: str, as_json: bool) -> int:
    return _each(commands.pause, alias, action, reason, as_json)


def resume(alias: str, action: str | None, reason: str, as_json: bool) -> int:
    return _each(commands.resume, alias, action, reason, as_json)


def set_(
    alias: str, action: str, cron: str | None, zone: str | None, options: Sequence[str], reason: str, as_json: bool
) -> int:
    named = {key: value for key, value in (("cron", cron), ("zone", zone)) if value is not None}
    wanted = {**parsed(options), **named}
    with opened() as house:
        commands.change(house.services, alias, action, wanted, actor=actor(), reason=reason)
        return _shown(house, alias, 1, as_json)


def _each(command: Callable[..., None], alias: str, action: str | None, reason: str, as_json: bool) -> int:
    with opened() as house:
        for one in [action] if action else commands.actions_of(house.services, alias):
            command(house.services, alias, one, actor=actor(), reason=reason)
        return _shown(house, alias, 1, as_json)


def _shown(house: House, alias: str | None, limit: int, as_json: bool) -> int:
    found = queries.schedules(house.services, alias, limit)
    if as_json:
        screen.emit({"schedules": found})
    elif not found:
        screen.console().print(Text("no schedules; a cron line under `rebuild` of an index makes one"))
    else:
        _print(found)
    return DONE


def _print(found: Sequence[Mapping[str, Any]]) -> None:
    rows = screen.table("ALIAS", "ACTION", "STATUS", "CRON", "ZONE", "NEXT", "LAST SUCCESS", "")
    for seen in found:
        when = (seen.get("cron"), seen.get("zone"), _moment(seen["next_at"]), _moment(seen["last_success_at"]))
        screen.row(rows, (seen["alias"], seen["action"], screen.word(seen["status"]), *when, _remark(seen)))
    out = screen.console()
    out.print(rows)
    runs = screen.table("ALIAS", "ACTION", "DUE", "RESULT", "DEPLOYMENT", "MESSAGE")
    for seen in found:
        for one in seen["runs"]:
            names = (seen["alias"], seen["action"], _moment(one["nominal_at"]), screen.word(one["status"]))
            screen.row(runs, (*names, one["deployment_id"], one["message"]))
    if runs.row_count:
        out.print()
        out.print(runs)
    out.print(Text("times are UTC", style="dim"))


def _remark(seen: Mapping[str, Any]) -> str:
    if seen["paused_by"]:
        return f"paused by {seen['paused_by']}" + (f": {seen['reason']}" if seen["reason"] else "")
    if seen["overdue_since"]:
        return f"no success for more than {seen['success_within_hours']:g} h"
    return "not as in the index file" if seen["changed"] else ""


def _moment(text: str | None) -> str:
    return f"{screen.moment(text):%Y-%m-%d %H:%M}" if text else ""
