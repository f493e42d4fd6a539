"""``rollouts gc``."""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core import defaults
from qdrant_rollouts.core.collections.deletion import garbage_collection
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import (
    DONE,
    actor,
    open_for_reading,
    open_services,
    verb,
)

_DROP = ("POINTS", "DEPLOYMENT", "BACKUP", "RUN", "DELETION")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--orphans",
    is_flag=True,
    help=f"Also delete orphans, {defaults.ORPHANS_MINUTES:g} minutes from now; look at --dry-run "
    "first.",
)
@reason_option
@json_option
@verb
def collect_garbage(dry_run: bool, orphans: bool, reason: str, as_json: bool) -> int:
    """Deletes what is due, and schedules what is no longer kept.

    It also deletes what verifications have left behind.

    It lists orphans: collections with names like ours that are not in the database. They may
    belong to another installation on the same server. So only --orphans deletes them, after a
    delay in which `rollouts keep` cancels it.
    """
    with open_for_reading(store=True) if dry_run else open_services(needs="store") as context:
        answer = garbage_collection.collect_garbage(
            context.services, actor=actor(), reason=reason, dry_run=dry_run, orphans=orphans
        )
    if as_json:
        screen.print_json(answer)
    else:
        _print_collected(answer, "would be " if dry_run else "")
    return DONE


def _print_collected(answer: Mapping[str, Any], would: str) -> None:
    _print_collections(
        f"no longer kept, {would}scheduled", answer["over"], "delete_after", "reason", "keep"
    )
    _print_collections(
        f"due, {would}deleted if nothing uses it",
        answer["due"],
        "reason",
        "waits_for",
        "used_by",
        "keep",
    )
    _print_collections(
        f"left over, {would}deleted",
        answer["leftovers"],
        "points",
        "run",
        "backup",
        "used_by",
        "deletion",
    )
    _print_collections(
        "orphans: no row here knows them",
        answer["orphans"],
        "points",
        "deployment",
        "used_by",
        "deletion",
    )
    _print_collections("kept although it was replaced", answer["kept"], "reason", "next")
    for line in answer["deleted"]:
        screen.make_console().print(Text(screen.printable_text(line)))
    if not any(answer[part] for part in ("over", "due", "leftovers", "orphans", "kept")):
        screen.make_console().print(Text("nothing to collect"))


def _print_collections(title: str, found: Sequence[Mapping[str, Any]], *columns: str) -> None:
    if not found:
        return
    titles = [column.replace("_", " ").upper() for column in columns]
    rows = screen.make_table(
        "COLLECTION", *titles, drop=[title for title in _DROP if title in titles]
    )
    for one in found:
        cells = (one[column] for column in columns)
        screen.add_row(
            rows,
            (
                one["collection"],
                *("; ".join(cell) if isinstance(cell, list) else cell for cell in cells),
            ),
        )
    screen.make_console().print(Text(title, "dim"), rows, sep="\n")
