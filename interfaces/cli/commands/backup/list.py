"""``rollouts backup list``."""

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from qdrant_rollouts.core.deployments.backups import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@click.option("--alias", help="Only those of this index.")
@json_option
@verb
def show_backups(alias: str | None, as_json: bool) -> int:
    """Lists backups, newest first, with results of verifications."""
    with open_for_reading(shelf=True) as context:
        found = queries.list_backups(context.services, alias)
        where = context.services.shelf.address
    if as_json:
        screen.print_json({"backups": found})
        return DONE
    out = screen.make_console()
    if not found:
        out.print(Text(f"no backups in {where}; `rollouts backup create ALIAS` makes one"))
        return DONE
    rows = screen.make_table(
        "BACKUP",
        "ALIAS",
        "MADE",
        "STATUS",
        "POINTS",
        "BYTES",
        "VERIFIED",
        drop=("BYTES", "POINTS", "VERIFIED", "MADE"),
    )
    for record in found:
        screen.add_row(rows, _cells_of_backup(record))
    out.print(rows)
    return DONE


def _cells_of_backup(record: Mapping[str, Any]) -> tuple[str, ...]:
    verified = record["verified"]
    return (
        record["backup_id"],
        record["alias"] or "",
        record["created_at"] or "",
        record["status"],
        _format_count(record["points"]),
        _format_count(record["bytes"]),
        f"{verified['status']} {verified['finished_at']}" if verified else "",
    )


def _format_count(found: int | None) -> str:
    return "" if found is None else f"{found:,}"
