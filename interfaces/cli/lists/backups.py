"""``backup list``."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from qdrant_rollouts.core.deployments.backups import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, looked


def list_(alias: str | None, as_json: bool) -> int:
    with looked(shelf=True) as house:
        found = queries.listed(house.services, alias)
        where = house.services.shelf.address
    if as_json:
        screen.emit({"backups": found})
        return DONE
    out = screen.console()
    if not found:
        out.print(Text(f"no backups in {where}; `rollouts backup create ALIAS` makes one"))
        return DONE
    rows = screen.table(
        "BACKUP", "ALIAS", "MADE", "STATUS", "POINTS", "BYTES", "VERIFIED", drop=("BYTES", "POINTS", "VERIFIED", "MADE")
    )
    for record in found:
        screen.row(rows, _cells(record))
    out.print(rows)
    return DONE


def _cells(record: Mapping[str, Any]) -> tuple[str, ...]:
    verified = record["verified"]
    return (
        record["backup_id"],
        record["alias"] or "",
        record["created_at"] or "",
        record["status"],
        _number(record["points"]),
        _number(record["bytes"]),
        f"{verified['status']} {verified['finished_at']}" if verified else "",
    )


def _number(found: int | None) -> str:
    return "" if found is None else f"{found:,}"
