"""``rollouts list``."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.options import json_option, list_options
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@list_options("those")
@click.option("--after", metavar="ID", help="Only those that follow this one in the list.")
@json_option
@verb
def show_deployments(alias: str | None, limit: int, after: str | None, as_json: bool) -> int:
    """Lists deployments, newest first, and collections to be deleted."""
    with open_for_reading() as context:
        found = queries.list_deployments(context.services, alias, limit + 1, after=after)
        total = queries.count_deployments(context.services, alias)
        deletions = [
            row
            for row in queries.list_deletions(context.services, limit)
            if alias in (None, row["alias"])
        ]
    deployments = found[:limit]
    following = deployments[-1]["id"] if len(found) > limit else None
    if as_json:
        listed = {"deployments": deployments, "total": total, "next": following}
        screen.print_json({**listed, "deletions": deletions})
        return DONE
    _print_deployments(deployments)
    if following:
        _print_rest(total, len(deployments), following)
    _print_deletions(deletions)
    return DONE


def _print_deployments(deployments: Sequence[Mapping[str, Any]]) -> None:
    if not deployments:
        screen.make_console().print(Text("no deployments yet; `rollouts deploy ALIAS` starts one"))
        return
    titles = ("ALIAS", "ID", "STRATEGY", "STATUS", "STEP", "GREEN", "AGE", "ACTOR", "MESSAGE")
    rows = screen.make_table(*titles, drop=("STRATEGY", "ACTOR", "GREEN", "AGE", "STEP"))
    for seen in deployments:
        age = screen.format_age(screen.seconds_since(seen["created_at"]))
        state = screen.status_text(seen["status"])
        step = picture.current_step_label(seen)
        names = (seen["alias"], seen["id"], seen["strategy"])
        said = seen["queue"]["text"] if seen["queue"] else seen["message"]
        screen.add_row(rows, (*names, state, step, seen["green"], age, seen["actor"], said))
    screen.make_console().print(rows)


def _print_rest(total: int, shown: int, following: str) -> None:
    said = f"{shown:,} of {total:,} deployments; the next ones: rollouts list --after {following}"
    screen.make_console().print(Text(said))


def _print_deletions(deletions: Sequence[Mapping[str, Any]]) -> None:
    if not deletions:
        return
    rows = screen.make_table("COLLECTION", "DUE IN", "STATUS", "REASON")
    for row in deletions:
        screen.add_row(
            rows,
            (row["collection"], _due_text(row), screen.status_text(row["status"]), row["reason"]),
        )
    out = screen.make_console()
    out.print()
    out.print(rows)
    screen.print_deletions(row for row in deletions if row["finished_at"] is None)


def _due_text(row: Mapping[str, Any]) -> str:
    if row["finished_at"]:
        return ""
    left = screen.seconds_until(row["delete_after"])
    if not left:
        return "now"
    return screen.format_span(left)
