"""``rollouts versions``."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core.collections import lineage
from qdrant_rollouts.core.collections.version_facts import say_mark
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@click.argument("alias")
@json_option
@verb
def show_versions(alias: str, as_json: bool) -> int:
    """Lists the versions of the index ALIAS and shows which one is live."""
    with open_for_reading(store=True) as context:
        seen = lineage.list_versions(context.services, alias)
    if as_json:
        screen.print_json(seen)
        return DONE
    rows = screen.make_table(
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
        screen.add_row(rows, _cells_of_version(row))
    out = screen.make_console()
    out.print(rows)
    screen.print_deletions(
        {"text": row["deletion"]} for row in seen["versions"] if row.get("deletion")
    )
    for said in _say_marks(seen["versions"]):
        out.print(Text(screen.printable_text(said)), soft_wrap=True)
    if any(row["number"] is None for row in seen["versions"]):
        adopt = f"rollouts adopt {shell_word(alias)}"
        out.print(
            Text(
                f"the live collection was made elsewhere; `{adopt}` takes it under management",
                "dim",
            )
        )
    return DONE


def _mark_of_row(row: Mapping[str, Any]) -> Text | str:
    """An arrow at the live version, and one at the version to which a rollback leads."""
    if row["live"]:
        return Text("→", "green")
    return Text("↶", "dim") if row.get("rollback_target") else ""


def _say_marks(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        mark = row.get("marked_bad")
        if mark is not None:
            yield f"{row['collection']} is {say_mark(mark)}"


def _cells_of_version(row: Mapping[str, Any]) -> tuple[object, ...]:
    mark = _mark_of_row(row)
    state = screen.status_text(row["state"])
    if row["state"] == "deletion due":
        state.append(f" in {screen.format_span(screen.seconds_until(row['delete_after']))}")
    for key, word in (("marked_bad", "marked bad"), ("rolled_away", "rolled away")):
        if row.get(key):
            state.append(f", {word}")
    made = ""
    if "created_at" in row:
        made = screen.format_age(screen.seconds_since(row["created_at"]))
    points = row.get("points")
    gate = row.get("gate") or {}
    told = (
        row["number"],
        row["collection"],
        state,
        "" if points is None else f"{points:,}",
        row.get("model"),
    )
    return (mark, *told, gate.get("verdict"), made, row.get("actor"))
