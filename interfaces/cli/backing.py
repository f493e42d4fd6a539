"""``backup create``, ``list``, ``verify``, ``restore``."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from core import backups, queries
from interfaces.cli import screen
from interfaces.cli.deploying import Told, leave, see_through
from interfaces.cli.running import DONE, House, actor, opened


def create(alias: str, keep: int | None, wait: bool, timeout: float | None, reason: str, as_json: bool) -> int:
    with opened(starts=True) as house:
        run = backups.create(house.services, alias, actor=actor(), reason=reason, keep=keep)
        return _ended(house, run, lambda: backups.record(house.services, run), wait, timeout, as_json)


def verify(
    backup_id: str | None, alias: str | None, wait: bool, timeout: float | None, reason: str, as_json: bool
) -> int:
    with opened(starts=True) as house:
        run = backups.verify(house.services, backup=backup_id, alias=alias, actor=actor(), reason=reason)
        return _ended(house, run, lambda: backups.verification(house.services, run), wait, timeout, as_json)


def restore(
    backup_id: str | None, alias: str | None, wait: bool, timeout: float | None, reason: str, as_json: bool
) -> int:
    with opened(starts=True) as house:
        run = backups.restore(house.services, backup=backup_id, alias=alias, actor=actor(), reason=reason)

        def told() -> Mapping[str, Any]:
            found = queries.deployment(house.services, run)
            return {**found, "backup_id": backups.restored_from(house.services, run)}

        return _ended(house, run, told, wait, timeout, as_json)


def list_(alias: str | None, as_json: bool) -> int:
    with opened() as house:
        found = backups.listed(house.services, alias)
        where = house.services.shelf.address
    if as_json:
        screen.emit({"backups": found})
        return DONE
    out = screen.console()
    if not found:
        out.print(Text(f"no backups in {where}; `rollouts backup create ALIAS` makes one"))
        return DONE
    rows = screen.table("BACKUP", "ALIAS", "MADE", "STATUS", "POINTS", "BYTES", "VERIFIED")
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


def _ended(house: House, run: str, told: Told, wait: bool, timeout: float | None, as_json: bool) -> int:
    if wait:
        return see_through(house, run, timeout, as_json, told)
    return leave(house, run, as_json, told)
