"""``gc``: what may go, and with ``--dry-run`` a look at it alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.collections.deletion import garbage_collection as collecting
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, actor, looked, opened

_DROP = ("POINTS", "DEPLOYMENT", "BACKUP", "RUN", "DELETION")


def gc(dry_run: bool, orphans: bool, reason: str, as_json: bool) -> int:
    with looked(store=True) if dry_run else opened(needs="store") as house:
        answer = collecting.collect(house.services, actor=actor(), reason=reason, dry_run=dry_run, orphans=orphans)
    if as_json:
        screen.emit(answer)
    else:
        _print_all(answer, "would be " if dry_run else "")
    return DONE


def _print_all(answer: Mapping[str, Any], would: str) -> None:
    _print(f"{would}written down, kept no longer", answer["over"], "delete_after", "reason", "keep")
    _print(f"due, {would}deleted if nothing uses it", answer["due"], "reason", "waits_for", "used_by", "keep")
    _print(f"left over, {would}deleted", answer["leftovers"], "points", "run", "backup", "used_by", "deletion")
    _print("orphans: no row here knows them", answer["orphans"], "points", "deployment", "used_by", "deletion")
    _print("kept, though it was replaced", answer["kept"], "reason", "next")
    for line in answer["deleted"]:
        screen.console().print(Text(screen.plain(line)))
    if not any(answer[part] for part in ("over", "due", "leftovers", "orphans", "kept")):
        screen.console().print(Text("nothing to collect"))


def _print(title: str, found: Sequence[Mapping[str, Any]], *columns: str) -> None:
    if not found:
        return
    titles = [column.replace("_", " ").upper() for column in columns]
    rows = screen.table("COLLECTION", *titles, drop=[title for title in _DROP if title in titles])
    for one in found:
        cells = (one[column] for column in columns)
        screen.row(rows, (one["collection"], *("; ".join(cell) if isinstance(cell, list) else cell for cell in cells)))
    screen.console().print(Text(title, "dim"), rows, sep="\n")
