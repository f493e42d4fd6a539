"""Begins a run: one transaction writes deployment, plan and version; then the first knock is sent,
or the run waits for a place."""

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections import aliases, versions
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment, Version
from qdrant_rollouts.core.deployments import alias_lock, claims, engine, placing
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.turns import moves
from qdrant_rollouts.core.errors import Busy, Refused, Unavailable
from qdrant_rollouts.core.ports.naming import collection_name
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.services import Services

#: Receives the session and the id of the deployment that is being written.
InTransaction = Callable[[Session, str], None]


def do_nothing(session: Session, deployment_id: str) -> None:
    """Writes nothing in addition."""


def warn_along(
    services: Services, alias: str, warning: str, along: InTransaction, actor: str = events.SYSTEM
) -> InTransaction:
    """Records a warning too, with the deployment, so that whoever starts it is told in the
    answer."""

    def both(session: Session, deployment_id: str) -> None:
        along(session, deployment_id)
        now = services.clock.now(session)
        events.record_event(
            session,
            now,
            events.WARNING,
            warning,
            actor=actor,
            deployment_id=deployment_id,
            alias=alias,
        )

    return both


def begin_deployment(
    services: Services,
    alias: str,
    spec: IndexSpec,
    plan: Plan,
    *,
    blue: str | None,
    actor: str,
    source: str | None = None,
    existing: str | None = None,
    reason: str = "",
    along: InTransaction = do_nothing,
    told_as: str = "created",
) -> str:
    """Writes deployment, plan and version in one transaction, then knocks, if there is a place for
    it; returns the id. ``told_as`` is the alert that says so. Raises Refused where the alias is not
    free."""
    taken = list_taken_names(services, alias)
    try:
        with services.sessions.begin() as session:
            # a later query would flush the version before its deployment
            now = services.clock.now(session)
            table.lock_route(services, session, alias)
            alias_lock.check_alias_idle(session, alias)
            row = Deployment(
                id=secrets.token_hex(6),
                alias=alias,
                strategy=spec.strategy,
                blue=blue,
                source=source,
                spec=spec.model_dump(mode="json"),
                actor=actor,
                message=reason,
            )
            _name_green(session, now, row, taken, existing)
            engine.enroll_deployment(session, row, plan, now, told_as)
            along(session, row.id)
            knock = claims.knock_for(row, row.created_at, again=True) if moves(row) else None
    except IntegrityError as error:
        with services.sessions() as session:
            alias_lock.check_alias_idle(session, alias)
        raise Unavailable(
            f"another deployment of {alias} began in the same moment; try again"
        ) from error
    if knock is not None:
        services.knock(knock)
    else:
        placing.give(services)
    return row.id


def _name_green(
    session: Session, now: datetime, row: Deployment, taken: set[str], existing: str | None
) -> None:
    """Returns green's name and number: a new version's, or those of an existing collection."""
    if existing is not None:
        aliases.keep_target(session, now, existing, row.alias, row.actor)
        known = session.get(Version, existing)
        if known is not None:
            row.green = existing
            row.number = known.number
            return
    row.green = existing or collection_name(
        row.alias, now, taken | versions.list_used_names(session)
    )
    row.number = (
        session.scalar(select(func.max(Version.number)).where(Version.alias == row.alias)) or 0
    ) + 1
    session.add(
        Version(
            collection=row.green,
            alias=row.alias,
            number=row.number,
            parent=row.blue,
            deployment_id=row.id,
            created_at=now,
            facts=versions.facts_of_request(row.actor, row.source),
        )
    )


def list_taken_names(services: Services, alias: str) -> set[str]:
    """Returns the existing names, as far as they can be read. Raises Refused if one of them equals
    ``alias``."""
    try:
        found = services.store.collections()
    except Busy:
        return set()
    if alias in found:
        raise Refused(f"{alias} is a collection's name; an alias needs a name of its own")
    return found
