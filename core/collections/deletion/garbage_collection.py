"""What can be deleted: due deletions, versions that retention no longer keeps, orphans and
leftovers.

An orphan is a collection with our naming scheme and no row here: a database was lost, or another
installation made it on the same server. The program cannot tell which. So it deletes an orphan only
if a person says so, and then only after a grace period in which it can be kept.

A leftover is a collection that a run restored from a backup, to verify or to read it, and could not
drop; or one that a deployment has dropped and that the server made again, because it carried out a
recovery late. Its row names the run. No application was ever meant to search it, so it is deleted
as soon as the run has ended.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.answers import collecting as collecting_answers
from qdrant_rollouts.core.collections import recovered, versions
from qdrant_rollouts.core.collections.deletion import deletions, final_backups, retention_policy
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deletion, Deployment, EventRow, StepRow
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.defaults import ORPHANS_MINUTES
from qdrant_rollouts.core.lifecycle import FINAL, DeletionStatus, StepStatus
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: See ``core.ports.naming.collection_name``.
_OURS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*_\d{8}_\d{6}(?:_\d+)?")


def collect_garbage(
    services: Services,
    *,
    actor: str,
    reason: str = "",
    dry_run: bool = False,
    orphans: bool = False,
) -> collecting_answers.Collected:
    """Schedules the deletion of surplus versions and leftovers, and deletes what is due; with
    ``dry_run`` it only lists them. ``orphans``: also schedules the deletion of each orphan. Safe to
    run twice: a scheduled deletion is not scheduled again."""
    there = services.store.collections()
    serving = services.store.aliases()
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        kept = find_kept(services, session, there, serving)
        free = there - {one["collection"] for one in kept}
        surplus = {
            alias: _select_unused(
                services,
                session,
                retention_policy.find_surplus(session, now, alias, serving[alias], spec),
                free,
            )
            for alias, spec in services.indexes().items()
            if alias in serving
        }
        left = find_leftovers(services, session, there)
        found = find_orphans(services, session, there)
        due = [
            _describe_due_deletion(services, session, row)
            for row in _list_open_deletions(session)
            if row.due_at <= now
        ]
        if not dry_run:
            asked = (
                f"{sum(map(len, surplus.values()))} versions over, {len(due)} deletions due, "
                f"{len(left)} left over"
            )
            asked += f", {len(found)} orphans" + (", these too" if orphans else "")
            events.record_event(session, now, "gc.requested", asked, actor=actor, reason=reason)
            _schedule_found(session, now, surplus, left, found if orphans else [], actor)
    return {
        "dry_run": dry_run,
        "over": [
            _describe_surplus(alias, one) for alias, several in surplus.items() for one in several
        ],
        "due": due,
        "leftovers": left,
        "orphans": found,
        "kept": kept,
        "deleted": [] if dry_run else deletions.delete_due(services),
    }


def find_kept(
    services: Services, session: Session, there: set[str], serving: Mapping[str, str]
) -> list[collecting_answers.Kept]:
    """Returns those of the collections ``there`` that were replaced but not deleted, because others
    made them or no backup of them could be made. Collections that a person keeps are not included.
    """
    declared = services.indexes()
    embedded = services.store.embedded
    found = []
    for alias, live in sorted(serving.items()):
        spec = retention_policy.find_spec(session, alias, declared)
        for name, why in retention_policy.find_kept(session, alias, live, spec, embedded=embedded):
            if name in there:
                found.append(
                    _describe_kept(alias, name, f"this program did not make it, and {why}")
                )
    return found + [
        _describe_put_off(row, why)
        for row in _list_open_deletions(session)
        if (why := _read_last_put_off(session, row))
    ]


def find_orphans(
    services: Services, session: Session, there: set[str]
) -> list[collecting_answers.Orphan]:
    """Returns the orphans among the collections ``there``, with what is known about them."""
    unknown = sorted(
        name for name in there - versions.list_used_names(session) if _OURS.fullmatch(name)
    )
    last = deletions.find_last_deletions(session)
    return [_describe_orphan(services, session, name, last.get(name)) for name in unknown]


def find_leftovers(
    services: Services, session: Session, there: set[str]
) -> list[collecting_answers.Leftover]:
    """Returns those of the collections ``there`` that an ended run should have dropped, each with
    its backup."""
    makes = has_trait(lambda step: step.makes_green)
    tried_out = and_(Deployment.kind == "verification", makes)
    dropped = and_(Deployment.kind == "rollout", makes, StepRow.status == StepStatus.UNDONE)
    query = select(Deployment, StepRow.arguments).join(StepRow)
    query = query.where(
        Deployment.status.in_(FINAL), or_(tried_out, dropped, recovered.is_unpacking())
    )
    found = [(said.get("collection", row.green), row, said) for row, said in session.execute(query)]
    last = deletions.find_last_deletions(session)
    return [
        {
            "collection": name,
            "run": f"{outbox.run_word(row.kind)} {row.id}",
            "backup": str(said.get("backup", "")),
            "points": estimate_points(services.store, name),
            "used_by": deletions.find_uses(services, session, name),
            "deletion": last[name].status if name in last else None,
        }
        for name, row, said in sorted(found, key=lambda one: one[0])
        if name in there
    ]


def _describe_orphan(
    services: Services, session: Session, name: str, deletion: Deletion | None
) -> collecting_answers.Orphan:
    stamp = read_stamp(services.store, name)
    return {
        "collection": name,
        "points": estimate_points(services.store, name),
        "deployment": stamp.deployment if stamp else None,
        "used_by": deletions.find_uses(services, session, name),
        "deletion": deletion.status if deletion else None,
        "delete_after": as_iso(deletion.due_at)
        if deletion and deletion.status in deletions.OPEN_STATUSES
        else None,
    }


def _select_unused(
    services: Services,
    session: Session,
    surplus: Sequence[retention_policy.SurplusVersion],
    there: set[str],
) -> list[retention_policy.SurplusVersion]:
    """Does not schedule what is already gone or in use, because the deletion would find that out
    when it is due."""
    return [
        one
        for one in surplus
        if one.collection in there and not deletions.find_uses(services, session, one.collection)
    ]


def _list_open_deletions(session: Session) -> list[Deletion]:
    query = (
        select(Deletion)
        .where(Deletion.status.in_(deletions.OPEN_STATUSES))
        .order_by(Deletion.due_at)
    )
    return list(session.scalars(query))


def _describe_due_deletion(
    services: Services, session: Session, row: Deletion
) -> collecting_answers.Due:
    return {
        "collection": row.collection,
        "delete_after": as_iso(row.due_at),
        "reason": row.reason,
        "used_by": deletions.find_uses(services, session, row.collection),
        "keep": deletions.keep_command(row.collection),
        "waits_for": final_backups.reason_to_wait(services, session, row),
    }


def _describe_kept(alias: str, collection: str, reason: str) -> collecting_answers.Kept:
    act = f"`retention.foreign: delete` for {alias} in the index file, then `rollouts gc`"
    return {"collection": collection, "alias": alias, "reason": reason, "next": act}


def _describe_put_off(row: Deletion, why: str) -> collecting_answers.Kept:
    act = f"correct that; it is tried again at {row.due_at:%Y-%m-%d %H:%M} UTC"
    return {"collection": row.collection, "alias": row.alias, "reason": why, "next": act}


def _read_last_put_off(session: Session, row: Deletion) -> str:
    """Returns why the last attempt to back it up put its deletion off."""
    query = select(EventRow.detail).where(
        EventRow.event == "deletion.put_off",
        EventRow.at >= row.created_at,
        EventRow.detail.startswith(f"{row.collection} is not deleted", autoescape=True),
    )
    return session.scalars(query.order_by(EventRow.id.desc()).limit(1)).first() or ""


def _describe_surplus(alias: str, one: retention_policy.SurplusVersion) -> collecting_answers.Over:
    return {
        "collection": one.collection,
        "delete_after": as_iso(one.due_at),
        "reason": one.reason,
        "alias": alias,
        "keep": deletions.keep_command(one.collection),
    }


def _schedule_found(
    session: Session,
    now: datetime,
    surplus: Mapping[str, Sequence[retention_policy.SurplusVersion]],
    leftovers: Sequence[Mapping[str, Any]],
    orphans: Sequence[Mapping[str, Any]],
    actor: str,
) -> None:
    for alias, several in surplus.items():
        retention_policy.schedule_surplus(session, now, alias, several, actor=actor)
    for left in filter(_is_free, leftovers):
        why = f"left over by {left['run']}"
        if left["backup"]:
            why += f", from backup {left['backup']}"
        deletions.schedule_deletion(session, now, left["collection"], 0.0, reason=why, actor=actor)
    for orphan in filter(_is_free, orphans):
        why = "an orphan: no row knows it"
        deletions.schedule_deletion(
            session, now, orphan["collection"], ORPHANS_MINUTES, reason=why, actor=actor
        )


def _is_free(found: Mapping[str, Any]) -> bool:
    """Whether nothing uses it and no decision about it has been recorded."""
    return not found["used_by"] and found["deletion"] not in (
        *deletions.OPEN_STATUSES,
        DeletionStatus.KEPT,
    )
