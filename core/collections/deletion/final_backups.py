"""The final backup: it must exist before a collection is deleted, because the index requires one,
or because this program did not make the collection and it may be the only copy.

Rule: it is checked at the moment of deletion. A backup that cannot be checked completely does not
count, and then nothing is deleted.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Deletion, Deployment, StepRow, Version
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL, Status, StepStatus
from qdrant_rollouts.core.services import Services


def find_foreign(session: Session, collections: Collection[str]) -> set[str]:
    """Returns those of ``collections`` that this program did not make. A collection without a row
    counts as such, because after the loss of a database nothing is proven.

    Two queries: joined in one, PostgreSQL would read all steps there are."""
    query = select(Version.collection, Version.deployment_id)
    rows = session.execute(query.where(Version.collection.in_(collections)))
    makers = {row.collection: row.deployment_id for row in rows}
    making = has_trait(lambda step: step.makes_green), StepRow.status == StepStatus.DONE
    of_makers = select(StepRow.deployment_id).where(
        StepRow.deployment_id.in_(list(makers.values()))
    )
    done = set(session.scalars(of_makers.where(*making)))
    return {name for name in collections if makers.get(name) not in done}


def find_ruling_spec(
    session: Session, row: Deletion, declared: Mapping[str, IndexSpec]
) -> IndexSpec | None:
    """Returns the collection's index as the current index file declares it. If the file no longer
    has the index, returns the spec from when the collection was made or replaced. None for a
    collection of no index."""
    version = session.get(Version, row.collection)
    alias = _alias_of_row(row, version)
    if alias is None:
        return None
    made = None
    if version is not None:
        made = version.deployment_id
    found = (
        declared.get(alias)
        or _read_frozen_spec(session, made)
        or _read_frozen_spec(session, row.deployment_id)
    )
    return found or (IndexSpec() if row.alias is not None else None)


def find_wanting_index(services: Services, session: Session, row: Deletion) -> str | None:
    """Returns the alias of the index that requires a backup of this collection before its
    deletion."""
    spec = find_ruling_spec(session, row, services.indexes())
    if spec is None or not is_wanted(spec, follows_rule(session, row)):
        return None
    return _alias_of_row(row, session.get(Version, row.collection))


def is_wanted(spec: IndexSpec, foreign: bool) -> bool:
    return spec.retention.final_backup or (foreign and spec.retention.foreign == "backup")


def follows_rule(session: Session, row: Deletion) -> bool:
    """Whether ``retention.foreign`` decides about it: a collection that others made, and that is
    deleted because it was replaced. A collection that a person names is deleted as requested."""
    return row.alias is not None and bool(find_foreign(session, [row.collection]))


def reason_to_keep(spec: IndexSpec, *, embedded: bool) -> str:
    """Returns why a replaced collection of others is kept, even if its deletion is due; empty if it
    is not kept."""
    if spec.retention.foreign == "keep":
        return "its index says retention.foreign: keep"
    if spec.retention.foreign == "backup" and embedded:
        return "no backup of it can be made, for the embedded Qdrant has no snapshots"
    return ""


def reason_to_spare(services: Services, session: Session, row: Deletion) -> str:
    """Returns why this deletion must not be carried out; empty if it may."""
    if not follows_rule(session, row):
        return ""
    spec = find_ruling_spec(session, row, services.indexes())
    if spec is None:
        return ""
    return reason_to_keep(spec, embedded=services.store.embedded)


def reason_to_wait(services: Services, session: Session, row: Deletion) -> str:
    """Returns what the deletion waits for, in words; empty if it need not wait. Raises Unavailable
    and Refused if that cannot be checked."""
    reader = find_reading_backup(session, row.collection)
    if reader is not None:
        return f"backup {reader.id} is {reader.status}"
    if (
        find_wanting_index(services, session, row) is None
        or row.collection not in services.store.collections()
    ):
        return ""
    return find_backup_fault(services, session, row)


def find_last_copies(session: Session, backups: Collection[str]) -> set[str]:
    """Returns those of ``backups`` that were made before the deletion of a collection that this
    program did not make: they may be the only copy."""
    query = select(Deletion.backup_id, Deletion.collection).where(Deletion.backup_id.in_(backups))
    made = {
        backup: collection for backup, collection in session.execute(query) if backup is not None
    }
    foreign = find_foreign(session, made.values())
    return {backup for backup, collection in made.items() if collection in foreign}


def find_reading_backup(session: Session, collection: str) -> Deployment | None:
    """Returns a running backup of the collection."""
    query = select(Deployment).where(Deployment.kind == "backup", Deployment.green == collection)
    return session.scalars(query.where(Deployment.status.not_in(FINAL)).limit(1)).first()


def find_backup_fault(services: Services, session: Session, row: Deletion) -> str:
    """Returns why the backup that was made for this deletion cannot be restored; empty if it can.
    Its status `live` means that every byte on the shelf was checked against the server's checksum.
    """
    if row.backup_id is None:
        return "no backup is made of it yet"
    run = session.get_one(Deployment, row.backup_id)
    if run.status != Status.LIVE:
        return f"backup {run.id} is {run.status}: {run.message}"
    try:
        manifest = manifests.read_manifest(services.shelf, run.id)
    except Refused as error:
        return str(error)
    lost = manifests.find_absent_file(services.shelf, manifest)
    if not lost:
        return ""
    return f"backup {run.id} is damaged: {lost}"


def _alias_of_row(row: Deletion, version: Version | None) -> str | None:
    return row.alias or (version.alias if version is not None else None)


def _read_frozen_spec(session: Session, deployment: str | None) -> IndexSpec | None:
    made = None
    if deployment is not None:
        made = session.get(Deployment, deployment)
    if made is None:
        return None
    return read_stored(IndexSpec, made.spec)
