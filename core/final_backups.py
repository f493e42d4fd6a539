"""The final backup: the one that an index may want of each of its collections before that is deleted.

Rule: it is looked for in the moment of deletion. What cannot be seen whole is not there, and then nothing is deleted.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import manifests
from core.errors import Refused
from core.index_file import IndexSpec
from core.kept import stored
from core.lifecycle import FINAL, Status
from core.models import Deletion, Deployment, Version
from core.services import Services


def wanted_by(services: Services, session: Session, row: Deletion) -> str | None:
    """The alias of the index that wants one of this collection, as the index file says now; of an index that it has no
    more, as it said when the collection was made."""
    version = session.get(Version, row.collection)
    alias = row.alias or (version.alias if version is not None else None)
    if alias is None:
        return None
    spec = services.indexes().get(alias) or _frozen(session, version)
    return alias if spec is not None and spec.retention.final_backup else None


def lacking(services: Services, session: Session, row: Deletion) -> str:
    """What the deletion waits for, in words; nothing where it need not wait. Raises Unavailable and Refused for what
    cannot be looked at."""
    reader = reading(session, row.collection)
    if reader is not None:
        return f"backup {reader.id} is {reader.status}"
    if wanted_by(services, session, row) is None or row.collection not in services.store.collections():
        return ""
    return fault(services, session, row)


def reading(session: Session, collection: str) -> Deployment | None:
    """A backup of the collection that has not ended."""
    query = select(Deployment).where(Deployment.kind == "backup", Deployment.green == collection)
    return session.scalars(query.where(Deployment.status.not_in(FINAL)).limit(1)).first()


def fault(services: Services, session: Session, row: Deletion) -> str:
    """Why the backup that was made for this deletion is none that it could be restored from; nothing if it is. That it
    went live says that every byte on the shelf was held against the server's checksum."""
    if row.backup_id is None:
        return "no backup is made of it yet"
    run = session.get_one(Deployment, row.backup_id)
    if run.status != Status.LIVE:
        return f"backup {run.id} is {run.status}: {run.message}"
    try:
        manifest = manifests.read(services.shelf, run.id)
    except Refused as error:
        return str(error)
    lost = manifests.absent(services.shelf, manifest)
    return f"backup {run.id} is damaged: {lost}" if lost else ""


def _frozen(session: Session, version: Version | None) -> IndexSpec | None:
    made = session.get(Deployment, version.deployment_id) if version is not None and version.deployment_id else None
    return stored(IndexSpec, made.spec) if made is not None else None
