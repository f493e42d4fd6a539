"""Makes the final backups that due deletions wait for
(``core.collections.deletion.final_backups``)."""

from datetime import timedelta
from functools import partial

from sqlalchemy import update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.collections.deletion import deletions, final_backups
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deletion
from qdrant_rollouts.core.deployments.alias_lock import find_open_deployment
from qdrant_rollouts.core.deployments.backups import commands
from qdrant_rollouts.core.errors import LeaseLost, Refused
from qdrant_rollouts.core.services import Services

#: After a failed backup the deletion is put off for this long, and the backup is tried again then.
_RETRY_AFTER = timedelta(hours=1)


def begin_final_backups(services: Services) -> list[str]:
    """Begins the backups that due deletions lack; returns a line for each deletion that it handled.

    Safe to repeat and to run in parallel: one transaction records the backup and its deletion.
    """
    with services.sessions() as session:
        due = deletions.find_due_deletions(session, services.clock.now(session))
    return [
        line for deletion_id in due if (line := _back_up_before_deletion(services, deletion_id))
    ]


def _back_up_before_deletion(services: Services, deletion_id: int) -> str:
    with services.sessions() as session:
        row = session.get_one(Deletion, deletion_id)
        lacks = final_backups.reason_to_wait(services, session, row)
        alias = final_backups.find_wanting_index(services, session, row)
        if not lacks or alias is None or final_backups.reason_to_spare(services, session, row):
            return ""
        if deletions.find_uses(services, session, row.collection):
            return ""
        if find_open_deployment(session, alias, "backup") is not None:
            return f"{row.collection} waits: {lacks}"
    if row.backup_id is not None:
        return _postpone_deletion(services, row, alias, lacks)
    return _begin_final_backup(services, row, alias)


def _begin_final_backup(services: Services, row: Deletion, alias: str) -> str:
    try:
        begun = commands.begin_backup(
            services,
            alias,
            row.collection,
            actor=events.SYSTEM,
            reason=f"final backup of {row.collection}, which will be deleted: {row.reason}",
            along=partial(_attach_backup, row.id),
        )
    except LeaseLost as lost:
        return str(lost)
    except Refused as refused:
        return _postpone_deletion(services, row, alias, str(refused))
    return f"{row.collection}: final backup {begun} is begun"


def _attach_backup(deletion_id: int, session: Session, backup: str) -> None:
    ours = (
        Deletion.id == deletion_id,
        Deletion.status.in_(deletions.OPEN_STATUSES),
        Deletion.backup_id.is_(None),
    )
    marked = update(Deletion).where(*ours).values(backup_id=backup).returning(Deletion.id)
    if session.scalar(marked) is None:
        raise LeaseLost(f"deletion {deletion_id} was cancelled, or another process took it up")


def _postpone_deletion(services: Services, seen: Deletion, alias: str, why: str) -> str:
    text = f"{seen.collection} is not deleted, because there is no final backup of it: {why}"
    with services.sessions.begin() as session:
        row = session.get_one(Deletion, seen.id, with_for_update=True)
        if row.status not in deletions.OPEN_STATUSES or row.backup_id != seen.backup_id:
            return ""
        now = services.clock.now(session)
        row.backup_id, row.due_at, row.due_elapsed = (
            None,
            now + _RETRY_AFTER,
            row.due_elapsed + _RETRY_AFTER.total_seconds(),
        )
        keep = deletions.keep_command(row.collection)
        act = f"correct that, it is tried again at {row.due_at:%H:%M} UTC; to keep it: {keep}"
        events.record_event(session, now, "deletion.put_off", text, alias=alias)
        told = Alert(
            row.alias or row.collection,
            deletions.NO_BACKUP,
            text,
            actor=row.actor,
            reason=row.reason,
            next=act,
        )
        outbox.record_alert(session, now, told)
    return text
