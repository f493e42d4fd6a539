"""What became of a collection that is not there any more, and what to do instead."""

from sqlalchemy import select

from qdrant_rollouts.core.collections.deletion.deletions import find_last_deletions
from qdrant_rollouts.core.database.models import Deletion, Deployment
from qdrant_rollouts.core.errors import AppError, Busy
from qdrant_rollouts.core.lifecycle import DeletionStatus, Status
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.services import Services


def is_gone(services: Services, collection: str) -> bool:
    """Returns False if another process has the store open: the switch itself checks again before it
    acts."""
    try:
        return collection not in services.store.collections()
    except Busy:
        return False


def describe_gone(services: Services, alias: str, collection: str) -> str:
    """Returns what became of a collection that is not there, and what to do instead."""
    with services.sessions() as session:
        deletion = find_last_deletions(session, [collection]).get(collection)
        backups = select(Deployment.id).where(
            Deployment.kind == "backup",
            Deployment.green == collection,
            Deployment.status == Status.LIVE,
        )
        made = list(session.scalars(backups.order_by(Deployment.finished_at.desc())))
    word = shell_word(alias)
    backup = _find_kept_backup(services, made)
    if backup is None:
        act = f"no backup of it is kept; `rollouts deploy {word}` builds a new version"
    else:
        act = f"`rollouts backup restore {backup}` deploys its backup"
    return f"{_say_deleted(deletion)}, {act}"


def _say_deleted(deletion: Deletion | None) -> str:
    if deletion is None or deletion.status != DeletionStatus.DELETED:
        return "it was removed by hand"
    assert deletion.finished_at is not None
    return f"it was deleted {deletion.finished_at:%Y-%m-%d %H:%M} UTC"


def _find_kept_backup(services: Services, made: list[str]) -> str | None:
    """Returns the newest of these backups that is still on the shelf, as far as that answers."""
    try:
        kept = set(services.shelf.backups())
    except AppError:
        return None
    return next((backup for backup in made if backup in kept), None)
