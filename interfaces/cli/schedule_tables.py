"""Prints schedules and their runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.operations.schedules import queries
from qdrant_rollouts.core.sanitize.quoting import add_reason
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, CliContext


def print_schedules(context: CliContext, alias: str | None, limit: int, as_json: bool) -> int:
    found = queries.list_schedules(context.services, alias, limit)
    if as_json:
        screen.print_json({"schedules": found})
    elif not found:
        screen.make_console().print(
            Text("no schedules; a cron line under `rebuild` of an index makes one")
        )
    else:
        _print_tables(found)
    return DONE


def _print_tables(found: Sequence[Mapping[str, Any]]) -> None:
    rows = screen.make_table(
        "ALIAS",
        "ACTION",
        "STATUS",
        "CRON",
        "ZONE",
        "NEXT",
        "LAST SUCCESS",
        "",
        drop=("ZONE", "LAST SUCCESS", "CRON"),
    )
    for seen in found:
        when = (
            seen.get("cron"),
            seen.get("zone"),
            _format_moment(seen["next_at"]),
            _format_moment(seen["last_success_at"]),
        )
        screen.add_row(
            rows,
            (
                seen["alias"],
                seen["action"],
                screen.status_text(seen["status"]),
                *when,
                _schedule_remark(seen),
            ),
        )
    out = screen.make_console()
    out.print(rows)
    runs = screen.make_table("ALIAS", "ACTION", "DUE", "RESULT", "DEPLOYMENT", "MESSAGE")
    for seen in found:
        for one in seen["runs"]:
            names = (
                seen["alias"],
                seen["action"],
                _format_moment(one["nominal_at"]),
                screen.status_text(one["status"]),
            )
            screen.add_row(runs, (*names, one["deployment_id"], one["message"]))
    if runs.row_count:
        out.print()
        out.print(runs)
    out.print(Text("times are UTC", style="dim"))


def _schedule_remark(seen: Mapping[str, Any]) -> str:
    if seen["paused_by"]:
        return add_reason(f"paused by {seen['paused_by']}", seen["reason"])
    if seen["overdue_since"]:
        return f"no success for more than {seen['success_within_hours']:g} h"
    if seen["changed"]:
        return "not as in the index file"
    return ""


def _format_moment(text: str | None) -> str:
    if not text:
        return ""
    return f"{screen.parse_moment(text):%Y-%m-%d %H:%M}"
