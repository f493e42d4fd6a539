"""The queries for backups: manifests on the shelf, and rows, as plain data."""

from sqlalchemy import select

from qdrant_rollouts.core.answers.backups import Backup, Verification
from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

_STATUS_WORDS = {Status.LIVE: "done", Status.ROLLED_BACK: "failed"}


def list_backups(services: Services, alias: str | None = None) -> list[Backup]:
    """Returns backups, newest first: those on the shelf (damaged ones too), those being made, and
    failed ones."""
    with services.sessions() as session:
        runs = {
            row.id: row
            for row in session.scalars(select(Deployment).where(Deployment.kind == "backup"))
        }
    kept = services.shelf.backups()
    found = [_describe_stored_backup(services, backup, runs.get(backup)) for backup in kept]
    found += [
        _describe_backup_run(row)
        for row in runs.values()
        if row.id not in kept and row.status != Status.LIVE
    ]
    verified = _latest_verifications(services)
    for record in found:
        record["verified"] = verified.get(record["backup_id"])
    chosen = [record for record in found if alias in (None, record["alias"])]
    return sorted(chosen, key=lambda record: str(record["created_at"]), reverse=True)


def get_backup(services: Services, backup: str) -> Backup:
    """Returns one backup in the form of ``list_backups``. Raises Refused if there is none."""
    for found in list_backups(services):
        if found["backup_id"] == backup:
            return found
    raise Unknown(f"there is no backup {shorten_text(backup)}; `rollouts backup list` shows them")


def get_verification(services: Services, run: str) -> Verification:
    """Returns what a verification has found so far."""
    with services.sessions() as session:
        row = session.get_one(Deployment, run)
        return _describe_verification(row)


def get_restored_backup(services: Services, run: str) -> str:
    """Returns the backup that a restore uses."""
    with services.sessions() as session:
        return str(session.get_one(Deployment, run).steps[0].arguments["backup"])


def find_latest_backup(services: Services, alias: str) -> str:
    """Returns the newest complete backup. Raises Refused if there is none."""
    for found in list_backups(services, alias):
        if found["status"] == "done":
            return str(found["backup_id"])
    raise Unknown(
        f"there is no backup of {shorten_text(alias)} in {services.shelf.address}; "
        f"`rollouts backup create {shell_word(shorten_text(alias))}`"
    )


def _describe_stored_backup(services: Services, backup: str, run: Deployment | None) -> Backup:
    """Describes a backup on the shelf. If its manifest is not valid, the entry has what the rows
    still know."""
    try:
        manifest = manifests.read_manifest(services.shelf, backup)
    except Refused as error:
        known = _describe_backup_run(run) if run is not None else _empty_backup(backup)
        return {**known, "status": "damaged", "message": str(error)}
    lost = manifests.find_absent_file(services.shelf, manifest)
    return {
        **_empty_backup(backup),
        "status": "damaged" if lost else "done",
        "message": lost,
        "alias": manifest.alias,
        "collection": manifest.collection,
        "created_at": manifest.created_at,
        "points": manifest.high,
        "bytes": manifest.size,
        "server": manifest.server,
        "actor": manifest.actor,
    }


def _describe_backup_run(row: Deployment) -> Backup:
    return {
        **_empty_backup(row.id),
        "status": _status_of_run(row),
        "message": row.message,
        "alias": row.alias,
        "collection": row.green,
        "created_at": as_iso(row.created_at),
        "actor": row.actor,
    }


def _empty_backup(backup: str) -> Backup:
    """Returns the keys that every backup has."""
    return {
        "backup_id": backup,
        "status": "",
        "message": "",
        "alias": None,
        "collection": None,
        "created_at": None,
        "points": None,
        "bytes": None,
        "server": None,
        "actor": None,
        "verified": None,
    }


def _status_of_run(row: Deployment) -> str:
    return _STATUS_WORDS.get(row.status, str(row.status))


def _latest_verifications(services: Services) -> dict[str, Verification]:
    """Returns the result of the latest ended verification, by backup."""
    query = select(Deployment).where(
        Deployment.kind == "verification", Deployment.finished_at.is_not(None)
    )
    with services.sessions() as session:
        found = [
            _describe_verification(row)
            for row in session.scalars(query.order_by(Deployment.created_at))
        ]
    return {one["backup_id"]: one for one in found}


def _describe_verification(row: Deployment) -> Verification:
    return {
        "backup_id": str(row.steps[0].arguments["backup"]),
        "verification_id": row.id,
        "alias": row.alias,
        "status": _status_of_run(row),
        "message": row.message,
        "finished_at": as_iso(row.finished_at),
    }
