"""Backups as people ask for them and look at them. The shelf holds what there is, the rows what is being done.

A backup's id is that of the run which made it: `rollouts status` tells its story while the rows last, and the manifest
says enough to restore it where no row is left.
"""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import claims, commands, engine, manifests, queries
from core.commands import Along
from core.errors import Refused, Unavailable, Unknown
from core.index_file import EmbeddingSpec, IndexSpec
from core.lifecycle import Status
from core.manifests import Manifest
from core.models import Deployment, Version
from core.naming import check_name, collection_name
from core.occupancy import open_deployment
from core.plan import Plan
from core.services import Services
from core.stamps import STAMPS_SINCE, Stamp
from core.strategies import backup as plans

Record = dict[str, Any]

_ENDS = {Status.LIVE: "done", Status.ROLLED_BACK: "failed"}


# --- what people ask for ------------------------------------------------------------------------------------------


def create(
    services: Services,
    alias: str,
    *,
    actor: str,
    reason: str = "",
    keep: int | None = None,
    along: Along = commands.alone,
) -> str:
    """Starts a backup of the collection behind ``alias``; returns its id. With ``keep``, the oldest of this alias are
    removed when it is made, so that so many are left."""
    check_name("alias", alias)
    _check_keep(keep)
    check_server(services)
    collection = queries.get_collection_for_alias(services, alias)
    spec = commands.spec_of(services, alias, {alias: collection})
    with services.sessions() as session:
        known = session.get(Version, collection)
    return _enroll(
        services,
        alias,
        "backup",
        spec,
        plans.make(actor, reason, keep),
        green=lambda session, now: collection,
        number=known.number if known else 0,
        actor=actor,
        reason=reason,
        along=along,
    )


def verify(
    services: Services,
    *,
    backup: str | None = None,
    alias: str | None = None,
    actor: str,
    along: Along = commands.alone,
) -> str:
    """Starts trying a backup out, the latest of ``alias`` if none is named; returns the run's id."""
    check_server(services)
    manifest = _chosen(services, backup, alias)
    taken = services.store.collections()

    def green(session: Session, now: datetime) -> str:
        used = set(session.scalars(select(Deployment.green)))
        return collection_name(f"{manifest.alias}_verify", now, taken | used)

    return _enroll(
        services,
        manifest.alias,
        "verification",
        _spec(services, manifest),
        plans.verify(manifest.id),
        green=green,
        number=manifest.number,
        actor=actor,
        reason=f"backup {manifest.id}",
        along=along,
    )


def restore(
    services: Services,
    *,
    backup: str | None = None,
    alias: str | None = None,
    actor: str,
    reason: str = "",
    along: Along = commands.alone,
) -> str:
    """Starts a deployment whose green is made from a backup, the latest of ``alias`` if none is named; returns its id.
    An alias that is gone is made again. Raises Refused for a damaged backup, before anything is changed."""
    check_server(services)
    manifest = _chosen(services, backup, alias)
    missing = manifests.absent(services.shelf, manifest)
    if missing:
        raise Refused(f"backup {manifest.id} is damaged: {missing}. Restore another one")
    live = services.store.aliases()
    spec = _spec(services, manifest)
    said = f"backup {manifest.id} of {manifest.created_at}" + (f": {reason}" if reason else "")
    return commands.begin(
        services,
        manifest.alias,
        spec.model_copy(update={"strategy": "restore"}),
        plans.restore(manifest.id),
        blue=live.get(manifest.alias),
        actor=actor,
        reason=said,
        along=along,
    )


# --- what people look at ------------------------------------------------------------------------------------------


def listed(services: Services, alias: str | None = None) -> list[Record]:
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


def record(services: Services, backup: str) -> Record:
    """One backup as ``listed`` tells it. Raises Refused if there is none."""
    for found in listed(services):
        if found["backup_id"] == backup:
            return found
    raise Unknown(f"there is no backup {backup}; `rollouts backup list` shows them")


def verification(services: Services, run: str) -> Record:
    """What a verification has come to so far."""
    with services.sessions() as session:
        row = session.get_one(Deployment, run)
        return _verification(row)


def restored_from(services: Services, run: str) -> str:
    """The backup that a restore takes."""
    with services.sessions() as session:
        return str(session.get_one(Deployment, run).steps[0].arguments["backup"])


# --- how ----------------------------------------------------------------------------------------------------------


def _enroll(
    services: Services,
    alias: str,
    kind: str,
    spec: IndexSpec,
    plan: Plan,
    *,
    green: Any,
    number: int,
    actor: str,
    reason: str,
    along: Along,
) -> str:
    """One of a kind at a time on an alias, beside whatever else is under way there."""
    settings = spec.model_copy(update={"rollback_on_failure": True, "strategy": kind})
    try:
        with services.sessions.begin() as session:
            now = services.clock.now(session)
            _check_alone(session, alias, kind)
            row = Deployment(
                id=secrets.token_hex(6),
                alias=alias,
                kind=kind,
                strategy=kind,
                blue=None,
                green=green(session, now),
                source=None,
                spec=settings.model_dump(mode="json"),
                actor=actor,
                message=reason,
                number=number,
            )
            engine.enroll(session, row, plan, now)
            along(session, row.id)
            knock = claims.knock_for(services, row, now)
    except IntegrityError as error:
        with services.sessions() as session:
            _check_alone(session, alias, kind)
        raise Unavailable(f"another {kind} of {alias} began in the same moment; try again") from error
    services.knock(knock)
    return row.id


def _check_alone(session: Session, alias: str, kind: str) -> None:
    running = open_deployment(session, alias, kind)
    if running is not None:
        raise Refused(
            f"{kind} {running.id} of {alias} is {running.status}: one at a time; wait for it or "
            f"`rollouts abort {running.id}`"
        )


def _check_keep(keep: object) -> None:
    if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 1):
        raise Refused(f"keep is {keep!r}; expected how many backups to keep, 1 or more")


def check_server(services: Services) -> None:
    server = services.store.server()
    if server.embedded:
        raise Refused("the embedded Qdrant has no snapshots: a backup needs a server, set ROLLOUTS_QDRANT_URL")
    if server.peers > 1:
        raise Refused(
            f"Qdrant at {server.address} is a cluster of {server.peers} nodes; each would need a snapshot of its own, "
            "which this version does not take: use the cluster's own backups"
        )
    if server.version < STAMPS_SINCE:
        wanted = ".".join(map(str, STAMPS_SINCE))
        raise Refused(f"Qdrant at {server.address} is older than {wanted}: upgrade it")


def _chosen(services: Services, backup: str | None, alias: str | None) -> Manifest:
    if (backup is None) == (alias is None):
        raise Refused("name either a backup or an alias, whose latest backup is taken then")
    if backup is None:
        backup = _latest(services, check_name("alias", alias))
    manifest = manifests.read(services.shelf, check_name("backup", backup))
    _check_newer(services, manifest)
    return manifest


def _latest(services: Services, alias: str) -> str:
    for found in listed(services, alias):
        if found["status"] == "done":
            return str(found["backup_id"])
    raise Unknown(f"there is no backup of {alias} in {services.shelf.address}; `rollouts backup create {alias}`")


def _check_newer(services: Services, manifest: Manifest) -> None:
    """Qdrant reads what an older one wrote (qdrant-facts 1.4), not the other way round."""
    server, made = services.store.server(), tuple(map(int, manifest.server.split(".")))
    if server.version[:2] < made[:2]:
        raise Refused(
            f"backup {manifest.id} was made by Qdrant {manifest.server}, {server.address} is "
            f"{'.'.join(map(str, server.version))}: upgrade it first"
        )


def _spec(services: Services, manifest: Manifest) -> IndexSpec:
    """As the index file declares it now, else as it was when the backup was made. The records it is rebuilt from may be
    others by now, and what is recovered is not held against them."""
    declared = services.indexes().get(manifest.alias)
    spec = declared if declared is not None else IndexSpec.model_validate(manifest.settings)
    return spec.model_copy(update={"source": None, "embedding": spec.embedding or _model(manifest)})


def _model(manifest: Manifest) -> EmbeddingSpec | None:
    stamp = Stamp.of(manifest.metadata)
    return stamp.spec if stamp is not None else None


def _kept(services: Services, backup: str, run: Deployment | None) -> Record:
    """A manifest that cannot be believed is told with what the rows still know."""
    try:
        manifest = manifests.read(services.shelf, backup)
    except Refused as error:
        known = _run(run) if run is not None else _record(backup, "damaged", "")
        return {**known, "status": "damaged", "message": str(error)}
    lost = manifests.absent(services.shelf, manifest)
    return {
        **_record(backup, "damaged" if lost else "done", lost),
        "alias": manifest.alias,
        "collection": manifest.collection,
        "created_at": manifest.created_at,
        "points": manifest.high,
        "bytes": manifest.size,
        "server": manifest.server,
        "actor": manifest.actor,
    }


def _run(row: Deployment) -> Record:
    return {
        **_record(row.id, _status(row), row.message),
        "alias": row.alias,
        "collection": row.green,
        "created_at": queries.iso(row.created_at),
        "actor": row.actor,
    }


def _record(backup: str, status: str, message: str) -> Record:
    empty = dict.fromkeys(("alias", "collection", "created_at", "points", "bytes", "server", "actor"))
    return {"backup_id": backup, "status": status, "message": message, **empty}


def _status(row: Deployment) -> str:
    return _ENDS.get(row.status, str(row.status))


def _verified(services: Services) -> dict[str, Record]:
    """By backup, what the latest verification that has ended came to."""
    query = select(Deployment).where(Deployment.kind == "verification", Deployment.finished_at.is_not(None))
    with services.sessions() as session:
        found = [_verification(row) for row in session.scalars(query.order_by(Deployment.created_at))]
    return {one["backup_id"]: one for one in found}


def _verification(row: Deployment) -> Record:
    return {
        "backup_id": str(row.steps[0].arguments["backup"]),
        "verification_id": row.id,
        "alias": row.alias,
        "status": _status(row),
        "message": row.message,
        "finished_at": queries.iso(row.finished_at),
    }
