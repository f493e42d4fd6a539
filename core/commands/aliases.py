"""What people may ask of aliases and collections by hand."""

from typing import Any

from core import aliases, events, occupancy, retention
from core.commands.specs import check_alias, listed, serving
from core.errors import Refused, Unknown
from core.models import AliasState, Deletion
from core.naming import check_found_name
from core.services import Services

GRACE_MINUTES = 60.0


def create_alias(
    services: Services, alias: str, collection: str, *, force: bool = False, actor: str, reason: str = ""
) -> dict[str, Any]:
    """Makes the alias. One that points elsewhere is refused unless ``force``; one that is there already stays."""
    live = services.store.aliases()
    if alias not in live:
        check_alias(services, alias, live)
    _check_move(services, alias, collection)
    current = live.get(alias)
    if current not in (None, collection) and not force:
        raise Refused(f"alias {alias} exists and points to {current}; use switch, or force to repoint it")
    moved = _point(services, alias, collection, expected={current}, actor=actor, reason=reason)
    return {"created": moved.moved, "alias": alias, "collection": collection}


def switch_alias(
    services: Services, alias: str, collection: str, *, delete_old: bool = False, actor: str, reason: str = ""
) -> dict[str, Any]:
    """Repoints an existing alias; already there is no change. ``delete_old`` writes the old one's deletion down."""
    current = serving(services.store.aliases(), alias)
    _check_move(services, alias, collection)
    moved = _point(services, alias, collection, expected={current}, actor=actor, reason=reason)
    old = moved.previous if moved.moved else current
    if delete_old and moved.moved and old:
        safe_delete_collection(services, old, actor=actor, reason=f"{collection} replaced it behind {alias}")
    return {"old_collection": old, "new_collection": collection, "switched": moved.moved}


def delete_alias(services: Services, alias: str, *, actor: str, reason: str = "") -> dict[str, Any]:
    """Removes the alias; asked again, there is nothing left to remove. An alias nobody knows is refused."""
    current = services.store.aliases().get(alias)
    if current is None:
        check_found_name("alias", alias)
        _check_was_deleted(services, alias)
        _unchanged(services, alias, "it was removed before", actor, reason)
        return {"deleted": False}
    occupancy.check_free(services, alias)
    return {"deleted": aliases.move(services, alias, None, expected={current}, actor=actor, reason=reason).moved}


def safe_delete_collection(
    services: Services,
    collection: str,
    *,
    grace_period_minutes: float = GRACE_MINUTES,
    actor: str,
    reason: str = "asked for",
) -> dict[str, Any]:
    """Writes a deletion down, to be carried out after the grace period if nothing uses the collection then."""
    check_found_name("collection", collection)
    if not 0 <= grace_period_minutes < 60 * 24 * 3650:
        raise Refused(f"grace_period_minutes is {grace_period_minutes:g}, expected 0 to 5256000 (ten years)")
    if collection not in services.store.collections():
        raise Unknown(f"collection {collection} does not exist; `rollouts alias list` shows what is served")
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        used = retention.users(services, session, collection)
        asked = f"{collection}, after {grace_period_minutes:g} minutes" + (f"; refused: {used[0]}" if used else "")
        events.record(session, now, "deletion.requested", asked, actor=actor, reason=reason)
        if used:
            return {"scheduled": False, "delete_after": None, "reason": "; ".join(used)}
        row = retention.schedule(session, now, collection, grace_period_minutes, reason=reason, actor=actor)
        return {"scheduled": True, "delete_after": _iso(row), "reason": row.reason}


def _check_move(services: Services, alias: str, collection: str) -> None:
    check_found_name("collection", collection)
    occupancy.check_free(services, alias)
    if alias in services.store.collections():
        raise Refused(f"{alias} is a collection's name; an alias needs a name of its own")
    aliases.check_target(services, collection)


def _point(
    services: Services, alias: str, collection: str, *, expected: set[str | None], actor: str, reason: str
) -> aliases.Moved:
    with services.sessions.begin() as session:
        aliases.keep(session, services.clock.now(session), collection, alias, actor)
    moved = aliases.move(services, alias, collection, expected=expected, actor=actor, reason=reason)
    if not moved.moved:
        _unchanged(services, alias, f"it led to {collection} already", actor, reason)
    return moved


def _unchanged(services: Services, alias: str, detail: str, actor: str, reason: str) -> None:
    """A command that found nothing to do is a command all the same."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        events.record(session, now, "alias.unchanged", detail, actor=actor, reason=reason, alias=alias)


def _check_was_deleted(services: Services, alias: str) -> None:
    with services.sessions() as session:
        known = session.get(AliasState, alias)
    if known is None or known.desired is not None:
        raise Unknown(f"alias {alias} does not exist; known: {listed(services.store.aliases())}")


def _iso(row: Deletion) -> str:
    return row.due_at.isoformat(timespec="seconds").replace("+00:00", "Z")
