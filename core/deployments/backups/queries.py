"""What people may look at of backups: manifests on the shelf, and rows, turned into plain data."""

from sqlalchemy import select

from qdrant_rollouts.core.answers.backups import Backup, Verification
from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.sanitize.quoting import cut
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import iso

_ENDS = {Status.LIVE: "done", Status.ROLLED_BACK: "failed"}


def listed(services: Services, alias: str | None = None) -> list[Backup]:
    """Backups, the newest first: those on the shelf, damaged ones among them, and those being made or that failed."""
    with services.sessions() as session:
        runs = {row.id: row for row in session.scalars(select(Deployment).where(Deployment.kind == "backup"))}
    kept = services.shelf.backups()
    found = [_kept(services, backup, runs.get(backup)) for backup in kept]
    found += [_run(row) for row in runs.values() if row.id not in kept and row.status != Status.LIVE]
    verified = _verified(services)
    for record in found:
        record["verified"] = verified.get(record["backup_id"])
    chosen = [record for record in found if alias in (None, record["alias"])]
    return sorted(chosen, key=lambda record: str(record["created_at"]), reverse=True)


def record(services: Services, backup: str) -> Backup:
    """One backup as ``listed`` tells it. Raises Refused if there is none."""
    for found in listed(services):
        if found["backup_id"] == backup:
            return found
    raise Unknown(f"there is no backup {cut(backup)}; `rollouts backup list` shows them")


def verification(services: Services, run: str) -> Verification:
    """What a verification has come to so far."""
    with services.sessions() as session:
        row = session.get_one(Deployment, run)
        return _verification(row)


def restored_from(services: Services, run: str) -> str:
    """The backup that a restore takes."""
    with services.sessions() as session:
        return str(session.get_one(Deployment, run).steps[0].arguments["backup"])


def latest(services: Services, alias: str) -> str:
    """The newest whole backup. Raises Refused if there is none."""
    for found in listed(services, alias):
        if found["status"] == "done":
            return str(found["backup_id"])
    raise Unknown(
        f"there is no backup of {cut(alias)} in {services.shelf.address}; "
        f"`rollouts backup create {shell_word(cut(alias))}`"
    )


def _kept(services: Services, backup: str, run: Deployment | None) -> Backup:
    """A manifest that cannot be believed is told with what the rows still know."""
    try:
        manifest = manifests.read(services.shelf, backup)
    except Refused as error:
        known = _run(run) if run is not None else _record(backup)
        return {**known, "status": "damaged", "message": str(error)}
    lost = manifests.absent(services.shelf, manifest)
    return {
        **_record(backup),
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


def _run(row: Deployment) -> Backup:
    return {
        **_record(row.id),
        "status": _status(row),
        "message": row.message,
        "alias": row.alias,
        "collection": row.green,
        "created_at": iso(row.created_at),
        "actor": row.actor,
    }


def _record(backup: str) -> Backup:
    """What is known of any."""
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


def _status(row: Deployment) -> str:
    return _ENDS.get(row.status, str(row.status))


def _verified(services: Services) -> dict[str, Verification]:
    """By backup, what the latest verification that has ended came to."""
    query = select(Deployment).where(Deployment.kind == "verification", Deployment.finished_at.is_not(None))
    with services.sessions() as session:
        found = [_verification(row) for row in session.scalars(query.order_by(Deployment.created_at))]
    return {one["backup_id"]: one for one in found}


def _verification(row: Deployment) -> Verification:
    return {
        "backup_id": str(row.steps[0].arguments["backup"]),
        "verification_id": row.id,
        "alias": row.alias,
        "status": _status(row),
        "message": row.message,
        "finished_at": iso(row.finished_at),
    }
