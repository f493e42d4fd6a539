"""The commands for aliases and collections."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections import aliases
from qdrant_rollouts.core.collections.deletion import deletions, retention_policy
from qdrant_rollouts.core.collections.deletion import notices as deletion_notices
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import AliasState, Deletion
from qdrant_rollouts.core.defaults import GRACE_MINUTES, LONGEST_GRACE_MINUTES
from qdrant_rollouts.core.deployments import alias_lock
from qdrant_rollouts.core.deployments.commands.beginning import InTransaction, do_nothing
from qdrant_rollouts.core.deployments.commands.specs import (
    check_alias_name,
    get_serving_collection,
    join_names,
)
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.journal import rebuilding
from qdrant_rollouts.core.ports.naming import check_found_name
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso


def create_alias(
    services: Services,
    alias: str,
    collection: str,
    *,
    force: bool = False,
    actor: str,
    reason: str = "",
) -> dict[str, Any]:
    """Creates the alias. If it points elsewhere, the command is refused unless ``force``; an
    existing alias with the same target stays."""
    live = services.store.aliases()
    if alias not in live:
        check_alias_name(services, alias, live)
    _check_move(services, alias, collection)
    current = live.get(alias)
    if current not in (None, collection) and not force:
        raise Refused(
            f"alias {alias} exists and points to {current}; use switch, or force to repoint it"
        )
    moved = _point_alias(
        services, alias, collection, expected={current}, actor=actor, reason=reason
    )
    return {"created": moved.moved, "alias": alias, "collection": collection}


def switch_alias(
    services: Services,
    alias: str,
    collection: str,
    *,
    delete_old: bool = False,
    actor: str,
    reason: str = "",
) -> dict[str, Any]:
    """Moves an existing alias; does nothing if it is already there.

    ``delete_old`` schedules the deletion of the old collection by the index's own rules: its grace
    period, its retention, and its rule for collections that others made.
    """
    current = get_serving_collection(services.store.aliases(), alias)
    _check_move(services, alias, collection)
    moved = _point_alias(
        services, alias, collection, expected={current}, actor=actor, reason=reason
    )
    old = moved.previous if moved.moved else current
    answer: dict[str, Any] = {
        "old_collection": old,
        "new_collection": collection,
        "switched": moved.moved,
    }
    if delete_old and moved.moved and old:
        answer["deletion"] = _delete_replaced(services, alias, old, collection, actor)
    return answer


def delete_alias(services: Services, alias: str, *, actor: str, reason: str = "") -> dict[str, Any]:
    """Removes the alias; a repeated call does nothing. An unknown alias is refused."""
    current = services.store.aliases().get(alias)
    if current is None:
        check_found_name("alias", alias)
        _check_was_deleted(services, alias)
        _record_no_change(services, alias, "it was removed before", actor, reason)
        return {"deleted": False}
    alias_lock.check_alias_movable(services, alias)
    rebuilding.leave_journal(services, alias, decided=True)
    return {
        "deleted": aliases.move_alias(
            services, alias, None, expected={current}, actor=actor, reason=reason
        ).moved
    }


def safe_delete_collection(
    services: Services,
    collection: str,
    *,
    grace_period_minutes: float | None = None,
    actor: str,
    reason: str = "asked for",
    along: InTransaction = do_nothing,
) -> dict[str, Any]:
    """Schedules a deletion after the grace period, if nothing uses the collection then.

    Without ``grace_period_minutes`` the index's value applies, and ``GRACE_MINUTES`` for a
    collection of no index.
    """
    check_found_name("collection", collection)
    _check_grace_minutes(grace_period_minutes)
    if collection not in services.store.collections():
        raise Unknown(
            f"collection {collection} does not exist; `rollouts alias list` shows what is served"
        )
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        minutes = grace_period_minutes
        if minutes is None:
            minutes = _find_grace_minutes(services, session, collection)
        used = _record_deletion_request(
            services, session, now, collection, f"after {minutes:g} minutes", actor, reason
        )
        if used:
            return {"scheduled": False, "delete_after": None, "reason": "; ".join(used)}
        row = deletions.schedule_deletion(
            session, now, collection, minutes, reason=reason, actor=actor
        )
        along(session, str(row.id))
        return _describe_scheduled_deletion(services, session, row)


def describe_deletion_request(services: Services, id: str) -> dict[str, Any]:
    """Returns the answer of ``safe_delete_collection`` for the deletion that it scheduled, as that
    stands now."""
    with services.sessions() as session:
        row = session.get_one(Deletion, int(id))
        if row.status in deletions.OPEN_STATUSES:
            return _describe_scheduled_deletion(services, session, row)
        reason = f"the deletion of {row.collection} was scheduled before, and is {row.status}"
        return {"scheduled": False, "delete_after": None, "reason": reason}


def _delete_replaced(
    services: Services, alias: str, old: str, new: str, actor: str
) -> dict[str, Any]:
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        spec = retention_policy.find_spec(session, alias, services.indexes())
        why = f"{new} replaced it behind {alias}"
        used = _record_deletion_request(
            services,
            session,
            now,
            old,
            f"after {retention_policy.describe_retention(spec)}",
            actor,
            why,
        )
        if used:
            return {"scheduled": False, "delete_after": None, "reason": "; ".join(used)}
        surplus = retention_policy.find_surplus(session, now, alias, new, spec, replaced=old)
        told = [
            replace(one, reason=f"{why}; {one.reason}") for one in surplus if one.collection == old
        ]
        others = [one for one in surplus if one.collection != old]
        retention_policy.schedule_surplus(session, now, alias, [*told, *others], actor=actor)
        row = deletions.find_open_deletion(session, old)
        if row is None:
            reason = f"{old} is kept, by the retention of {alias} in the index file or by a person"
            return {"scheduled": False, "delete_after": None, "reason": reason}
        return _describe_scheduled_deletion(services, session, row)


def _check_grace_minutes(minutes: float | None) -> None:
    if minutes is not None and not 0 <= minutes <= LONGEST_GRACE_MINUTES:
        raise Refused(
            f"grace_period_minutes is {minutes:g}, expected 0 to {LONGEST_GRACE_MINUTES:.0f} (ten "
            "years)"
        )


def _find_grace_minutes(services: Services, session: Session, collection: str) -> float:
    alias = retention_policy.find_index(session, collection)
    if alias is None:
        return GRACE_MINUTES
    return retention_policy.retention_minutes(
        retention_policy.find_spec(session, alias, services.indexes())
    )


def _record_deletion_request(
    services: Services,
    session: Session,
    now: datetime,
    collection: str,
    when: str,
    actor: str,
    reason: str,
) -> list[str]:
    """Records that the deletion was requested, or what uses the collection, so that it is
    refused."""
    used = deletions.find_uses(services, session, collection)
    asked = f"{collection}, {when}" + (f"; refused: {used[0]}" if used else "")
    events.record_event(session, now, "deletion.requested", asked, actor=actor, reason=reason)
    return used


def _describe_scheduled_deletion(
    services: Services, session: Session, row: Deletion
) -> dict[str, Any]:
    rules = deletion_notices.read_rules(services)
    told = deletion_notices.describe_open_deletions(session, [row], rules)[row.id]
    answer = {"scheduled": True, "delete_after": as_iso(row.due_at), "reason": row.reason}
    return {**answer, "text": told["text"], "keep": told["keep"]}


def _check_move(services: Services, alias: str, collection: str) -> None:
    check_found_name("collection", collection)
    alias_lock.check_alias_movable(services, alias)
    if alias in services.store.collections():
        raise Refused(f"{alias} is a collection's name; an alias needs a name of its own")
    aliases.check_target(services, collection)


def _point_alias(
    services: Services,
    alias: str,
    collection: str,
    *,
    expected: set[str | None],
    actor: str,
    reason: str,
) -> aliases.Moved:
    with services.sessions.begin() as session:
        aliases.keep_target(session, services.clock.now(session), collection, alias, actor)
    if services.store.aliases().get(alias) != collection:
        # Writers would still write to the old collection.
        rebuilding.leave_journal(services, alias, decided=True)
    moved = aliases.move_alias(
        services, alias, collection, expected=expected, actor=actor, reason=reason
    )
    if not moved.moved:
        _record_no_change(services, alias, f"it led to {collection} already", actor, reason)
    return moved


def _record_no_change(services: Services, alias: str, detail: str, actor: str, reason: str) -> None:
    """Records a command that changed nothing."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        events.record_event(
            session, now, "alias.unchanged", detail, actor=actor, reason=reason, alias=alias
        )


def _check_was_deleted(services: Services, alias: str) -> None:
    with services.sessions() as session:
        known = session.get(AliasState, alias)
    if known is None or known.desired is not None:
        raise Unknown(
            f"alias {alias} does not exist; known: {join_names(services.store.aliases())}"
        )
