"""The commands for backups. A command refuses before it changes anything."""

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections import aliases, restorable, versions
from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.collections.restorable import check_server
from qdrant_rollouts.core.collections.stamps import Stamp
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.database.models import Deployment, Version
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import claims, commands, engine
from qdrant_rollouts.core.deployments.alias_lock import find_open_deployment
from qdrant_rollouts.core.deployments.backups.queries import find_latest_backup
from qdrant_rollouts.core.deployments.commands import InTransaction, do_nothing
from qdrant_rollouts.core.deployments.commands.specs import declared_spec, inherit_model
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.strategies import backup as backup_strategy
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports.naming import (
    LONGEST_WITH_SNAPSHOT,
    check_found_name,
    check_name,
    collection_name,
)
from qdrant_rollouts.core.sanitize.quoting import add_reason, quote_value
from qdrant_rollouts.core.services import Services


def create_backup(
    services: Services,
    alias: str,
    *,
    actor: str,
    reason: str = "",
    keep: int | None = None,
    along: InTransaction = do_nothing,
) -> str:
    """Starts a backup of the collection behind ``alias``; returns its id.

    With ``keep``, or ``retention.backups`` of the index, the oldest backups of this alias are
    removed afterwards until that many are left.
    """
    check_found_name("alias", alias)
    _check_keep(keep)
    check_server(services.store)
    collection = aliases.get_collection_for_alias(services, alias)
    return begin_backup(
        services, alias, collection, actor=actor, reason=reason, keep=keep, along=along
    )


def begin_backup(
    services: Services,
    alias: str,
    collection: str,
    *,
    actor: str,
    reason: str,
    keep: int | None = None,
    along: InTransaction = do_nothing,
) -> str:
    """Begins a backup of any collection of the index. ``along`` writes more in the same
    transaction."""
    check_server(services.store)
    _check_name_length(collection)
    # A backup does not need what the gate asks of an index, and collections of others may lack it.
    live = {alias: collection}
    spec = inherit_model(services, declared_spec(services, alias, live), collection)
    with services.sessions() as session:
        known = session.get(Version, collection)
    return _enroll_run(
        services,
        alias,
        "backup",
        spec,
        backup_strategy.plan_backup(
            actor, reason, keep if keep is not None else spec.retention.backups
        ),
        green=lambda session, now: collection,
        number=known.number if known else 0,
        actor=actor,
        reason=reason,
        along=along,
    )


def verify_backup(
    services: Services,
    *,
    backup: str | None = None,
    alias: str | None = None,
    actor: str,
    reason: str = "",
    along: InTransaction = do_nothing,
) -> str:
    """Starts a verification of a backup, by default the latest of ``alias``; returns the run's
    id."""
    check_server(services.store)
    manifest = _choose_manifest(services, backup, alias)
    taken = services.store.collections()

    def green(session: Session, now: datetime) -> str:
        return collection_name(
            f"{manifest.alias}_verify", now, taken | versions.list_used_names(session)
        )

    return _enroll_run(
        services,
        manifest.alias,
        "verification",
        _spec_of_backup(services, manifest),
        backup_strategy.plan_verification(manifest.id),
        green=green,
        number=manifest.number,
        actor=actor,
        reason=add_reason(f"backup {manifest.id}", reason),
        along=along,
    )


def restore_backup(
    services: Services,
    *,
    backup: str | None = None,
    alias: str | None = None,
    actor: str,
    reason: str = "",
    along: InTransaction = do_nothing,
) -> str:
    """Starts a deployment that restores a backup, by default the latest of ``alias``; returns its
    id.

    A missing alias is created again. Raises Refused for a damaged backup, before anything is
    changed.
    """
    check_server(services.store)
    manifest = _choose_manifest(services, backup, alias)
    restorable.read_whole_manifest(services.store, services.shelf, manifest.id)
    live = services.store.aliases()
    spec = _spec_of_backup(services, manifest)
    said = add_reason(f"backup {manifest.id} of {manifest.created_at}", reason)
    return commands.begin_deployment(
        services,
        manifest.alias,
        spec.model_copy(update={"strategy": "restore"}),
        backup_strategy.plan_restore(spec, manifest.id),
        blue=live.get(manifest.alias),
        actor=actor,
        reason=said,
        along=along,
    )


def _enroll_run(
    services: Services,
    alias: str,
    kind: str,
    spec: IndexSpec,
    plan: Plan,
    *,
    green: Callable[[Session, datetime], str],
    number: int,
    actor: str,
    reason: str,
    along: InTransaction = do_nothing,
) -> str:
    """Writes the run and knocks for it; returns its id. An alias can have one run of each kind at a
    time, besides a deployment or an experiment."""
    settings = spec.model_copy(update={"rollback_on_failure": True, "strategy": kind})
    try:
        with services.sessions.begin() as session:
            now = services.clock.now(session)
            _check_kind_idle(session, alias, kind)
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
            engine.enroll_deployment(session, row, plan, now)
            along(session, row.id)
            knock = claims.knock_for(row, now, again=True)
    except IntegrityError as error:
        with services.sessions() as session:
            _check_kind_idle(session, alias, kind)
        raise Unavailable(
            f"another {kind} of {alias} began in the same moment; try again"
        ) from error
    services.knock(knock)
    return row.id


def _check_kind_idle(session: Session, alias: str, kind: str) -> None:
    running = find_open_deployment(session, alias, kind)
    if running is not None:
        raise Refused(
            f"{kind} {running.id} of {alias} is {running.status}: one at a time; wait for it or "
            f"`rollouts abort {running.id}`",
            waits_for=running.id,
        )


def _check_name_length(collection: str) -> None:
    """Raises Refused if the name is too long for a snapshot. The server does not report a failed
    snapshot if the request does not wait for it."""
    length = len(collection.encode())
    if length > LONGEST_WITH_SNAPSHOT:
        raise Refused(
            f"the name of collection {collection[:40]}… has {length} bytes, and Qdrant makes no "
            "snapshot of more "
            f"than {LONGEST_WITH_SNAPSHOT}: copy it under a shorter name (a deployment from "
            "`collection:NAME`)"
        )


def _check_keep(keep: object) -> None:
    if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 1):
        raise Refused(f"keep is {quote_value(keep)}; expected how many backups to keep, 1 or more")


def _choose_manifest(services: Services, backup: str | None, alias: str | None) -> Manifest:
    if (backup is None) == (alias is None):
        raise Refused("name either a backup or an alias, whose latest backup is then used")
    if backup is None:
        backup = find_latest_backup(services, check_found_name("alias", alias))
    return restorable.read_fitting_manifest(
        services.store, services.shelf, check_name("backup", backup)
    )


def _spec_of_backup(services: Services, manifest: Manifest) -> IndexSpec:
    """Returns the spec that the index file declares now, or else the one from when the backup was
    made. The source may have other records by now, and the restored collection is not compared with
    it."""
    declared = services.indexes().get(manifest.alias)
    spec = declared if declared is not None else read_stored(IndexSpec, manifest.settings)
    if Stamp.of(manifest.metadata) is None:
        return _spec_without_model(spec)
    embedding = spec.embedding if spec.models else _embedding_of_backup(manifest)
    return spec.model_copy(update={"source": None, "embedding": embedding})


def _spec_without_model(spec: IndexSpec) -> IndexSpec:
    """Returns the spec for a backup of a collection that others made. Its model is unknown, so no
    text query is made. It comes back as it was, for applications that search it with their own
    vectors."""
    rules = spec.validation.model_copy(update={"queries": (), "judged": None})
    return spec.model_copy(
        update={"source": None, "embedding": None, "vectors": {}, "validation": rules}
    )


def _embedding_of_backup(manifest: Manifest) -> EmbeddingSpec | None:
    stamp = Stamp.of(manifest.metadata)
    if stamp is None:
        return None
    return stamp.spec
