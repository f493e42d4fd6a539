"""Moves an alias.

Rule: first commit the intent, then tell Qdrant in **one** ``create_alias`` action, then read the
alias back, then settle the intent. If the process dies between any two of these and all are
repeated, the result is the same. Exactly one caller settles an intent, so exactly one reports the
move (celery-facts 2.8).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.collections import readiness
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.collections.readiness import Readiness
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import AliasState
from qdrant_rollouts.core.errors import Refused, Unavailable, Unknown
from qdrant_rollouts.core.ports import Schema, VectorStore
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services

#: Twice the 5 s that the store's alias calls may take.
ACT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Moved:
    """``moved`` is False if another process had already moved the alias there."""

    previous: str | None
    moved: bool


@dataclass(frozen=True, slots=True)
class _Requester:
    actor: str
    reason: str
    deployment_id: str | None


def alias_exists(services: Services, alias: str) -> bool:
    """Raises Unavailable if Qdrant cannot be asked; False always means that the alias does not
    exist."""
    return alias in services.store.aliases()


def get_collection_for_alias(services: Services, alias: str) -> str:
    """Raises Unknown for an alias that does not exist, Unavailable if Qdrant cannot be asked."""
    found = services.store.aliases()
    if alias not in found:
        raise Unknown(
            f"alias {shorten_text(alias)} does not exist; known: "
            f"{', '.join(sorted(found)) or 'none'}"
        )
    return found[alias]


def move_alias(
    services: Services,
    alias: str,
    target: str | None,
    *,
    expected: Collection[str | None],
    actor: str,
    reason: str = "",
    deployment_id: str | None = None,
    check: Callable[[float], None] = lambda seconds: None,
) -> Moved:
    """Points ``alias`` to ``target`` (None: removes it), if it points to one of ``expected`` or
    already to the target.

    ``check`` is asked for time right before Qdrant is told. Raises Refused if the alias points
    anywhere else, Unavailable if Qdrant did not answer or does not show the change; then call
    again.
    """
    seen = _read_intent(services, alias)
    found = services.store.aliases().get(alias)
    by = _Requester(actor, reason, deployment_id)
    if found == target:
        return _settle_intent(services, alias, target, by)
    if found not in expected:
        raise Refused(
            f"alias {alias} points to {found}, expected {_name_targets(expected)}: somebody moved "
            "it; look, then decide"
        )
    if _commit_intent(services, alias, target, found, seen):
        check(ACT_SECONDS)
        _tell_store(services, alias, target)
    shown = services.store.aliases().get(alias)
    if shown != target:
        raise Unavailable(f"alias {alias} still shows {shown} after it was pointed to {target}")
    return _settle_intent(services, alias, target, by)


def inspect_and_wake(services: Services, collection: str, failures: int | None = None) -> Readiness:
    """Is this collection ready to serve now? An embedded store has no index to wait for. A server
    that pauses with unfinished work is woken. ``failures``: how often work on its index had failed
    at the last look."""
    store = services.store
    if store.server().embedded:
        return Readiness(ready=True)
    schema = store.schema(collection)
    seen = _inspect_readiness(store, collection, schema, failures)
    if seen.asleep:
        store.wake(collection)
    return seen


def _inspect_readiness(
    store: VectorStore, collection: str, schema: Schema, failures: int | None
) -> Readiness:
    """If strict mode forbids counting vectors, the number of indexed ones is used instead. Then
    only the optimizer's own report decides, and the gate says that it was inconclusive."""
    health = store.health(collection)
    try:
        return readiness.watch(store, collection, schema, health, failures)
    except Refused:
        return readiness.judge_readiness(schema, health, health.indexed_vectors)


def check_target(services: Services, collection: str) -> None:
    """Raises Refused unless the collection exists and is ready to serve."""
    if collection not in services.store.collections():
        address = services.store.server().address
        raise Refused(f"collection {collection} does not exist at {address}; nothing was switched")
    seen = inspect_and_wake(services, collection)
    if not seen.ready:
        raise Refused(
            f"collection {collection} is not ready: {seen.reason}; nothing was switched, try again "
            "later"
        )


def keep_target(session: Session, now: datetime, collection: str, alias: str, actor: str) -> None:
    """Cancels the deletion of a collection that is about to serve. Raises Refused if the deletion
    has begun."""
    deletions.cancel_deletion(
        session,
        now,
        collection,
        f"{collection} is kept: a deployment moves {alias} to it",
        actor,
    )


def _read_intent(services: Services, alias: str) -> tuple[int, bool]:
    """Returns the alias's last intent and whether it was settled, read before Qdrant is asked."""
    with services.sessions() as session:
        row = session.get(AliasState, alias)
        if not row:
            return (0, True)
        return (row.revision, row.settled)


def _commit_intent(
    services: Services, alias: str, target: str | None, found: str | None, seen: tuple[int, bool]
) -> bool:
    """Commits the intent; returns False if another process has just carried out the same one.

    Raises Unavailable if another process has begun a different one since ``found`` was read,
    because what was seen is then out of date.
    """
    try:
        return _write_intent(services, alias, target, found, seen)
    # another process wrote this alias's first row at the same moment; now there is one to lock
    except IntegrityError:
        return _write_intent(services, alias, target, found, seen)


def _write_intent(
    services: Services, alias: str, target: str | None, found: str | None, seen: tuple[int, bool]
) -> bool:
    with services.sessions.begin() as session:
        row = session.get(AliasState, alias, with_for_update=True)
        if row is None:
            row = AliasState(
                alias=alias, revision=0, settled=True, changed_at=services.clock.now(session)
            )
            session.add(row)
        elif row.desired == target and not row.settled:
            return True
        elif (row.revision, row.settled) != seen:
            return _check_overtaken(row, target)
        row.desired = target
        row.previous = found
        row.settled = False
        row.revision = row.revision + 1
        row.changed_at = services.clock.now(session)
        return True


def _check_overtaken(row: AliasState, target: str | None) -> bool:
    if row.desired == target:
        return False
    raise Unavailable(
        f"alias {row.alias} is being pointed to {row.desired} at this moment; look, then try again"
    )


def _tell_store(services: Services, alias: str, target: str | None) -> None:
    if target is None:
        services.store.drop_alias(alias)
    else:
        services.store.point_alias(alias, target)


def _settle_intent(services: Services, alias: str, target: str | None, by: _Requester) -> Moved:
    """Marks the intent as carried out. Only the caller whose update finds it unsettled has moved
    the alias."""
    with services.sessions.begin() as session:
        mine = session.execute(
            update(AliasState)
            .where(
                AliasState.alias == alias,
                AliasState.desired.is_not_distinct_from(target),
                ~AliasState.settled,
            )
            .values(settled=True)
            .returning(AliasState.alias)
        ).first()
        row = session.get(AliasState, alias)
        if mine is None or row is None:
            return Moved(target, moved=False)
        _record_move(session, services.clock.now(session), row, by)
        return Moved(row.previous, moved=True)


def _record_move(session: Session, now: datetime, row: AliasState, by: _Requester) -> None:
    detail = f"{row.previous or 'nothing'} -> {row.desired or 'nothing'}"
    events.record_event(
        session,
        now,
        "alias.switched",
        detail,
        actor=by.actor,
        reason=by.reason,
        alias=row.alias,
        deployment_id=by.deployment_id,
    )
    if by.deployment_id is None:
        alert = Alert(
            row.alias, "alias.moved_by_hand", f"{detail}, by hand", actor=by.actor, reason=by.reason
        )
        outbox.record_alert(session, now, alert)


def _name_targets(expected: Collection[str | None]) -> str:
    return " or ".join(str(name) if name else "no alias" for name in expected)
