"""When a collection may be deleted.

Rule: a deletion is a row with a due time, never a step. At the moment of deletion everything that
could use the collection is checked again. If something cannot be checked, nothing is deleted.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.collections import recovered
from qdrant_rollouts.core.collections.deletion import final_backups
from qdrant_rollouts.core.database import clock_jumps, events
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.leases import SLACK
from qdrant_rollouts.core.database.models import (
    AliasState,
    Deletion,
    Deployment,
    RouteRow,
    ServiceClock,
)
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import (
    FINAL,
    OPEN_DELETIONS,
    DeletionEvent,
    DeletionStatus,
    ExperimentStatus,
    next_deletion_status,
)
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.services import Services

OPEN_STATUSES = OPEN_DELETIONS
#: The alert while a deletion waits for a backup that does not come.
NO_BACKUP = "deletion.no_final_backup"
#: The most that one sweep adds to the service's running time. A sweep is requested every second. If
#: the last one is longer ago, no process swept, or the clock was set ahead; a sweep then adds only
#: what is certain. So a stopped system only delays deletions, and a jumping clock deletes nothing
#: early.
_LONGEST_TICK = 15.0
_AFTER_A_JUMP = 1.0


def advance_service_clock(session: Session, now: datetime) -> float:
    """Advances the service's running time and returns it, in seconds."""
    clock = session.get(ServiceClock, 1, with_for_update=True)
    if clock is None:
        clock = ServiceClock(id=1, elapsed=0.0, last=now)
        session.add(clock)
    passed = (now - clock.last).total_seconds()
    if passed < -SLACK.total_seconds():
        clock_jumps.bring_back(session, now)
    clock.elapsed += max(passed, 0.0) if passed <= _LONGEST_TICK else _AFTER_A_JUMP
    clock.last = now
    return clock.elapsed


def schedule_deletion(
    session: Session,
    now: datetime,
    collection: str,
    minutes: float,
    *,
    reason: str,
    actor: str = events.SYSTEM,
    alias: str | None = None,
    deployment_id: str | None = None,
) -> Deletion:
    """Schedules the deletion, or returns the one that is already open for this collection."""
    found = find_open_deletion(session, collection)
    if found is not None:
        return found
    clock = session.get(ServiceClock, 1)
    row = Deletion(
        collection=collection,
        alias=alias,
        deployment_id=deployment_id,
        due_at=now + timedelta(minutes=minutes),
        due_elapsed=(clock.elapsed if clock else 0.0) + minutes * 60,
        actor=actor,
        reason=reason,
        created_at=now,
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another process scheduled it at the same moment
        found = find_open_deletion(session, collection)
        if found is None:
            raise
        return found
    _announce_deletion(session, row, now)
    return row


def keep_command(collection: str) -> str:
    """Returns the command with which a person keeps the collection."""
    return f"rollouts keep {shell_word(collection)}"


def describe_deletion(collection: str, when: str) -> str:
    """Returns the text for a coming deletion. ``when``: the time, and its condition."""
    return f"{collection} will be deleted {when}; to keep it: `{keep_command(collection)}`"


def describe_due_time(row: Deletion) -> str:
    return f"at {row.due_at:%Y-%m-%d %H:%M:%S} UTC"


def record_kept(
    session: Session,
    now: datetime,
    collection: str,
    detail: str,
    *,
    actor: str,
    reason: str,
    alias: str,
    deployment_id: str | None,
) -> None:
    """Records that a person keeps ``collection``, which has no open deletion. ``deployment_id`` is
    the paused deployment that has built it."""
    kept = Deletion(
        collection=collection,
        alias=alias,
        deployment_id=None,
        status=DeletionStatus.KEPT,
        due_at=now,
        due_elapsed=0.0,
        actor=actor,
        reason=detail,
        created_at=now,
        finished_at=now,
    )
    session.add(kept)
    events.record_event(
        session,
        now,
        "deletion.kept",
        detail,
        actor=actor,
        reason=reason,
        alias=alias,
        deployment_id=deployment_id,
    )


def _announce_deletion(session: Session, row: Deletion, now: datetime) -> None:
    detail = f"{row.collection} will be deleted {describe_due_time(row)}: {row.reason}"
    events.record_event(
        session,
        now,
        "deletion.scheduled",
        detail,
        actor=row.actor,
        reason=row.reason,
        alias=row.alias,
        deployment_id=row.deployment_id,
    )
    act = f"to keep it: {keep_command(row.collection)}"
    _record_alert(session, row, now, "deletion.scheduled", detail, row.actor, act=act)


def find_open_deletion(session: Session, collection: str) -> Deletion | None:
    query = (
        select(Deletion)
        .where(Deletion.collection == collection, Deletion.status.in_(OPEN_STATUSES))
        .with_for_update()
    )
    return session.scalars(query).one_or_none()


def find_last_deletions(
    session: Session, collections: Collection[str] | None = None
) -> dict[str, Deletion]:
    """The latest deletion of each of ``collections``, ended or not, by collection; of every
    collection without them."""
    query = select(Deletion).order_by(Deletion.id)
    if collections is not None:
        query = query.where(Deletion.collection.in_(collections))
    return {row.collection: row for row in session.scalars(query)}


def cancel_deletion(
    session: Session,
    now: datetime,
    collection: str,
    reason: str,
    actor: str = events.SYSTEM,
    *,
    event: DeletionEvent = DeletionEvent.CANCEL,
    asked: str = "",
) -> bool:
    """Cancels the open deletion of ``collection``; returns False if there was none. ``asked`` is
    the reason that a person gave. Raises Refused if the deletion has begun."""
    row = find_open_deletion(session, collection)
    if row is None:
        return False
    if row.status == DeletionStatus.DELETING:
        raise Refused(
            f"{collection} is being deleted since {row.due_at:%Y-%m-%d %H:%M:%S} UTC; it cannot be "
            "kept"
        )
    _end_deletion(session, row, now, event, reason, actor, asked)
    _record_alert(session, row, now, "deletion.cancelled", reason, actor)
    return True


def find_uses(
    services: Services, session: Session, collection: str, *, besides: str = ""
) -> list[str]:
    """Returns what uses the collection, in words; empty if nothing does. These are indexes that
    read from it, unfinished deployments, intended and actual aliases, routes, and experiments. What
    the deployment ``besides`` does with it does not count.

    A backup that reads the collection does not count, because the deletion waits for it. Qdrant's
    aliases are checked last. Raises Unavailable if they cannot be, Refused if the index file cannot
    be read.
    """
    declared = services.indexes().items()
    readers = [
        alias for alias, spec in declared if recovered.reads_collection(spec.source, collection)
    ]
    found = [f"index {alias} reads from it, says the index file" for alias in readers]
    using = or_(
        Deployment.blue == collection,
        Deployment.green == collection,
        Deployment.source == f"collection:{collection}",
        recovered.is_reading_backup_from(collection),
    )
    unended = (
        Deployment.status.not_in(FINAL),
        Deployment.kind != "backup",
        Deployment.id != besides,
    )
    running = select(Deployment.id, Deployment.alias).where(*unended, using)
    found += [f"deployment {id} of {alias} uses it" for id, alias in session.execute(running)]
    meant = session.scalars(select(AliasState.alias).where(AliasState.desired == collection))
    found += [f"alias {alias} is meant to point to it" for alias in meant]
    found += [f"experiment {id} compares it" for id in find_open_experiments(session, collection)]
    routed = select(RouteRow.alias).where(
        or_(RouteRow.blue == collection, RouteRow.green == collection),
        RouteRow.deployment_id.is_distinct_from(besides),
    )
    found += [f"the route of alias {alias} leads to it" for alias in session.scalars(routed)]
    aliases = services.store.aliases().items()
    return found + [
        f"alias {alias} points to it" for alias, target in aliases if target == collection
    ]


def find_open_experiments(session: Session, collection: str) -> list[str]:
    """Returns the ids of the drafted and running experiments that compare the collection."""
    unended = (ExperimentStatus.DRAFT, ExperimentStatus.RUNNING)
    rows = session.scalars(select(Experiment).where(Experiment.status.in_(unended)))
    return [row.id for row in rows if collection in {arm["collection"] for arm in row.spec["arms"]}]


def delete_due(services: Services) -> list[str]:
    """Deletes every collection that is due and unused; returns a line for each one checked."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        advance_service_clock(session, now)
        found = find_due_deletions(session, now)
    return [_carry_out_deletion(services, deletion_id) for deletion_id in found]


def find_due_deletions(session: Session, now: datetime) -> list[int]:
    """Returns the ids of the deletions whose time has come."""
    clock = session.get(ServiceClock, 1)
    elapsed = 0.0
    if clock is not None:
        elapsed = clock.elapsed
    query = select(Deletion.id).where(
        Deletion.status.in_(OPEN_STATUSES), Deletion.due_at <= now, Deletion.due_elapsed <= elapsed
    )
    return list(session.scalars(query.order_by(Deletion.due_at)))


def _carry_out_deletion(services: Services, deletion_id: int) -> str:
    """Marks, checks, deletes and records. Safe to repeat: a deletion that is found half done is
    checked and done again."""
    with services.sessions() as session:
        row = session.get_one(Deletion, deletion_id)
        kept = (
            final_backups.reason_to_spare(services, session, row)
            if row.status == DeletionStatus.SCHEDULED
            else ""
        )
        kept = "" if kept and find_uses(services, session, row.collection) else kept
        lacks = "" if kept else final_backups.reason_to_wait(services, session, row)
        if lacks and not find_uses(services, session, row.collection):
            return f"{row.collection} waits: {lacks}"
    if kept:
        return _spare_collection(services, deletion_id, kept)
    with services.sessions.begin() as session:
        row = session.get_one(Deletion, deletion_id, with_for_update=True)
        if row.status not in OPEN_STATUSES:
            return f"{row.collection} {row.status}"
        row.status = next_deletion_status(row.status, DeletionEvent.BEGIN)
        collection = row.collection
    used = _drop_if_unused(services, collection)
    with services.sessions.begin() as session:
        row = session.get_one(Deletion, deletion_id, with_for_update=True)
        if row.status not in OPEN_STATUSES:  # somebody else has come to the end of it too
            return f"{row.collection} {row.status}"
        now = services.clock.now(session)
        if used:
            return _cancel_as_used(session, row, now, used)
        _end_deletion(
            session,
            row,
            now,
            DeletionEvent.FINISH,
            f"{collection} was deleted: {row.reason}",
            row.actor,
        )
        _record_alert(session, row, now, "deletion.deleted", row.reason, row.actor)
    return f"{collection} deleted"


def _spare_collection(services: Services, deletion_id: int, why: str) -> str:
    with services.sessions.begin() as session:
        row = session.get_one(Deletion, deletion_id, with_for_update=True)
        if row.status != DeletionStatus.SCHEDULED:
            return f"{row.collection} {row.status}"
        reason = (
            f"{row.collection} is not deleted: this program did not make it, and {why}. It is kept"
        )
        now = services.clock.now(session)
        _end_deletion(session, row, now, DeletionEvent.CANCEL, reason, events.SYSTEM)
        _record_alert(session, row, now, "deletion.cancelled", reason, events.SYSTEM)
        return reason


def _drop_if_unused(services: Services, collection: str) -> list[str]:
    """Drops the collection if nothing uses it, and returns its uses. Nothing may happen between the
    check and the drop, because dropping a collection silently drops its aliases too (qdrant-facts
    2.7)."""
    with services.sessions() as session:
        used = find_uses(services, session, collection)
    if not used:
        services.store.drop(collection)
    return used


def _cancel_as_used(session: Session, row: Deletion, now: datetime, used: list[str]) -> str:
    reason = (
        f"{row.collection} is not deleted: {'; '.join(used)}. Ask for its deletion again when that "
        "has ended"
    )
    _end_deletion(session, row, now, DeletionEvent.FIND_USED, reason, events.SYSTEM)
    _record_alert(
        session,
        row,
        now,
        "deletion.in_use",
        reason,
        events.SYSTEM,
        act="ask for its deletion again when unused",
    )
    return reason


def _record_alert(
    session: Session,
    row: Deletion,
    now: datetime,
    what: str,
    text: str,
    actor: str,
    act: str = "nothing to do",
) -> None:
    index = row.alias or row.collection
    told = Alert(
        index, what, text, actor=actor, reason=row.reason, next=act, deployment_id=row.deployment_id
    )
    outbox.record_alert(session, now, told)


def _end_deletion(
    session: Session,
    row: Deletion,
    now: datetime,
    event: DeletionEvent,
    reason: str,
    actor: str,
    asked: str = "",
) -> None:
    row.status = next_deletion_status(row.status, event)
    row.reason = reason
    row.finished_at = now
    outbox.resolve_alerts(session, now, row.alias or row.collection, [NO_BACKUP], reason, actor)
    events.record_event(
        session,
        now,
        f"deletion.{row.status}",
        reason,
        actor=actor,
        reason=asked,
        alias=row.alias,
        deployment_id=row.deployment_id,
    )
