"""``schedule list``."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.operations.schedules import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, House, looked


def list_(alias: str | None, limit: int, as_json: bool) -> int:
    with looked() as house:
        return shown(house, alias, limit, as_json)


def shown(house: House, alias: str | None, limit: int, as_json: bool) -> int:
    found = queries.schedules(house.services, alias, limit)
    if as_json:
        screen.emit({"schedules": found})
    elif not found:
        screen.console().print(Text("no schedules; a cron line under `rebuild` of an index makes one"))
    else:
        _print(found)
    return DONE


def _print(found: Sequence[Mapping[str, Any]]) -> None:
    rows = screen.table(
        "ALIAS", "ACTION", "STATUS", "CRON", "ZONE", "NEXT", "LAST SUCCESS", "", drop=("ZONE", "LAST SUCCESS", "CRON")
    )
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
