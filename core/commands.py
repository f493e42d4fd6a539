"""What people and programs may ask for. Every refusal comes before anything is changed.

Each command is one function here; the command line, Celery tasks and pages are skins over it.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import aliases, claims, engine, events, occupancy, retention, versions
from core.checks import asked
from core.errors import Busy, Malformed, Refused, Unavailable, Unknown
from core.evidence.opening import judged_queries
from core.index_file import IndexSpec
from core.lifecycle import Event, Status
from core.models import AliasState, Deletion, Deployment, Version
from core.naming import check_name, collection_name
from core.plan import Plan
from core.ports import Source
from core.routing import table
from core.services import Services
from core.stamps import STAMPS_SINCE, read_stamp
from core.strategies import STRATEGIES
from core.strategies import rollback as rollback_strategy

GRACE_MINUTES = 60.0
#: Kinds of source that no request may name, be it for records or for judged queries.
_DECLARED_ONLY = ("python:", "sql:")

#: Given the session and the id of a deployment that is being written down.
Along = Callable[[Session, str], None]


def alone(session: Session, deployment_id: str) -> None:
    """Nothing is written along."""


# --- deployments ------------------------------------------------------------------------------------------------


def deploy(
    services: Services,
    alias: str,
    *,
    actor: str,
    source: str | None = None,
    strategy: str | None = None,
    queries: Sequence[str] | None = None,
    rollback_on_failure: bool | None = None,
    collection: str | None = None,
    options: Mapping[str, Any] | None = None,
    reason: str = "",
    along: Along = alone,
) -> str:
    """Starts a deployment and returns its id. What is not given comes from the index file; ``collection`` takes one
    that is there instead of building one from ``source``; ``along`` writes more in the same transaction."""
    check_name("alias", alias)
    live = _live(services)
    _check_server(services)
    spec = _spec(services, alias, live)
    declared = spec
    spec = spec.with_options(_asked(source, strategy, queries, rollback_on_failure), "request")
    spec = _inherited(services, spec.with_options(options or {}), live.get(alias))
    _check_declared(spec, declared)
    plan, blue = _plan(spec, existing=collection is not None), live.get(alias)
    _check_validation(services, spec, blue)
    judged_queries(services, spec)
    if any(step.name == "shift" for step in plan) and blue is None:
        raise Refused(f"{alias} serves nothing a canary could be compared with; deploy it with blue_green first")
    if collection is not None:
        _check_existing(services, collection, blue, source)
        return begin(
            services, alias, spec, plan, blue=blue, actor=actor, existing=collection, reason=reason, along=along
        )
    opened = _source(services, alias, spec)
    return begin(services, alias, spec, plan, blue=blue, actor=actor, source=opened.address, reason=reason, along=along)


def rollback(services: Services, alias: str, *, actor: str, reason: str = "", along: Along = alone) -> str:
    """Starts the way back to the version before the live one, while it is retained; returns the deployment's id."""
    check_name("alias", alias)
    current = _serving(_live(services), alias)
    with services.sessions() as session:
        occupancy.check_alone(session, alias)
        last = _last_live(session, alias, current)
    if last is None or last.blue is None:
        raise Refused(f"{alias} has no version before {current} to go back to")
    if _is_gone(services, last.blue):
        raise Refused(f"{last.blue}, the version before {current}, is not retained any more; deploy a new one")
    spec = IndexSpec.model_validate(last.spec)
    return begin(
        services,
        alias,
        spec.model_copy(update={"strategy": "rollback"}),
        rollback_strategy.plan(),
        blue=current,
        actor=actor,
        existing=last.blue,
        reason=reason,
        along=along,
    )


def spec_of(
    services: Services, alias: str, live: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> IndexSpec:
    """What a deployment of ``alias`` would be held to. Raises Refused for checks or queries that make no sense."""
    declared = _spec(services, alias, live)
    spec = _inherited(services, declared.with_options(options or {}), live.get(alias))
    _check_declared(spec, declared)
    _check_validation(services, spec, live.get(alias))
    return spec


def wish(services: Services, deployment_id: str, event: Event, *, actor: str, reason: str = "") -> str:
    """Leaves a wish (promote, retry, pause, resume, abort) for the engine and returns the deployment's full id."""
    found = find(services, deployment_id)
    engine.request(services, found, event, actor, reason)
    return found


def find(services: Services, deployment_id: str) -> str:
    """The full id of the one deployment whose id begins like this. Raises Refused for none or several."""
    with services.sessions() as session:
        query = select(Deployment.id).where(Deployment.id.startswith(deployment_id, autoescape=True)).limit(2)
        found = session.scalars(query).all() if deployment_id else []
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"deployment id {deployment_id!r} fits several; give more of it")
    raise Unknown(f"there is no deployment {deployment_id!r}; `rollouts list` shows them")


# --- aliases and collections ------------------------------------------------------------------------------------


def create_alias(
    services: Services, alias: str, collection: str, *, force: bool = False, actor: str, reason: str = ""
) -> dict[str, Any]:
    """Makes the alias. One that points elsewhere is refused unless ``force``; one that is there already stays."""
    _check_names(services, alias, collection)
    current = services.store.aliases().get(alias)
    if current not in (None, collection) and not force:
        raise Refused(f"alias {alias} exists and points to {current}; use switch, or force to repoint it")
    moved = _point(services, alias, collection, expected={current}, actor=actor, reason=reason)
    return {"created": moved.moved, "alias": alias, "collection": collection}


def switch_alias(
    services: Services, alias: str, collection: str, *, delete_old: bool = False, actor: str, reason: str = ""
) -> dict[str, Any]:
    """Repoints an existing alias; already there is no change. ``delete_old`` writes the old one's deletion down."""
    _check_names(services, alias, collection)
    current = _serving(services.store.aliases(), alias)
    moved = _point(services, alias, collection, expected={current}, actor=actor, reason=reason)
    old = moved.previous if moved.moved else current
    if delete_old and moved.moved and old:
        safe_delete_collection(services, old, actor=actor, reason=f"{collection} replaced it behind {alias}")
    return {"old_collection": old, "new_collection": collection, "switched": moved.moved}


def delete_alias(services: Services, alias: str, *, actor: str, reason: str = "") -> dict[str, Any]:
    """Removes the alias; asked again, there is nothing left to remove. An alias nobody knows is refused."""
    check_name("alias", alias)
    current = services.store.aliases().get(alias)
    if current is None:
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
    check_name("collection", collection)
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


# --- how ----------------------------------------------------------------------------------------------------------


def _live(services: Services) -> dict[str, str]:
    """Aliases as they are; while another process has the embedded store open, as they were last set."""
    try:
        return services.store.aliases()
    except Busy:
        with services.sessions() as session:
            rows = session.execute(select(AliasState.alias, AliasState.desired).where(AliasState.settled))
            return {alias: desired for alias, desired in rows if desired}


def _check_server(services: Services) -> None:
    """Refuses a server that ignores the stamp by which a collection is known as a deployment's own (qdrant-facts 1)."""
    try:
        server = services.store.server()
    except Busy:
        return
    if server.version < STAMPS_SINCE:
        wanted, found = (".".join(map(str, version)) for version in (STAMPS_SINCE, server.version))
        raise Refused(f"Qdrant at {server.address} is {found}; deployments need {wanted} or newer: upgrade the server")


def _spec(services: Services, alias: str, live: Mapping[str, str]) -> IndexSpec:
    declared = services.indexes()
    if alias in declared:
        return declared[alias]
    if alias in live:
        return IndexSpec()
    known = _listed({*declared, *live})
    raise Unknown(f"alias {alias} neither exists nor is declared in the index file; known: {known}")


def _asked(
    source: str | None, strategy: str | None, queries: Sequence[str] | None, rollback_on_failure: bool | None
) -> dict[str, Any]:
    asked = {
        "source": source,
        "strategy": strategy,
        "validation": {"queries": list(queries)} if queries is not None else None,
        "rollback_on_failure": rollback_on_failure,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _check_declared(spec: IndexSpec, declared: IndexSpec) -> None:
    """Code and queries run with the rights of a worker, so only who writes the index file may name them."""
    said = {declared.source, declared.validation.judged}
    for text in (spec.source, spec.validation.judged):
        if text is not None and text not in said and text.strip().startswith(_DECLARED_ONLY):
            kind = text.strip().partition(":")[0]  # what follows may hold a secret that does not belong there
            raise Refused(f"this {kind}: source is not in the index file; python: and sql: are taken from there alone")


def _inherited(services: Services, spec: IndexSpec, blue: str | None) -> IndexSpec:
    """An index that declares no model goes on with the one its live collection is stamped with."""
    if spec.embedding is not None or blue is None:
        return spec
    try:
        stamp = read_stamp(services.store, blue)
    except Busy:
        return spec
    return spec.model_copy(update={"embedding": stamp.spec}) if stamp is not None else spec


def _plan(spec: IndexSpec, *, existing: bool) -> Plan:
    if spec.strategy not in STRATEGIES:
        raise Malformed(f"strategy {spec.strategy!r} is not known; known: {_listed(STRATEGIES)}")
    return STRATEGIES[spec.strategy](spec, existing=existing)


def _check_validation(services: Services, spec: IndexSpec, blue: str | None) -> None:
    """A query is text: without a model nobody can ask it."""
    if spec.embedding is None and (spec.validation.queries or spec.validation.judged):
        raise Refused("validation queries need embedding.model to be embedded with; declare it in the index file")
    asked.check(spec, services.store.schema(blue) if blue and spec.validation.slices else None)


def _source(services: Services, alias: str, spec: IndexSpec) -> Source:
    if spec.source is None:
        raise Refused(f"{alias} has no source; name one (--source jsonl:FILES, dir:FOLDER, collection:NAME …)")
    source = services.source(spec.source)
    try:
        source.check()
    except Busy:
        if source.collection is None:
            raise
    return source


def begin(
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
    along: Along = alone,
) -> str:
    """Writes deployment, plan and version in one transaction, then knocks; returns the id. Raises Refused where the
    alias is not free."""
    taken = _collections(services, alias)
    try:
        with services.sessions.begin() as session:
            now = services.clock.now(session)  # asked later, it would flush the version before its deployment
            table.hold(services, session, alias)
            occupancy.check_alone(session, alias)
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
            _name(session, now, row, taken, existing)
            engine.enroll(session, row, plan, now)
            along(session, row.id)
            knock = claims.knock_for(services, row, row.created_at)
    except IntegrityError as error:
        with services.sessions() as session:
            occupancy.check_alone(session, alias)
        raise Unavailable(f"another deployment of {alias} began in the same moment; try again") from error
    services.knock(knock)
    return row.id


def _name(session: Session, now: datetime, row: Deployment, taken: set[str], existing: str | None) -> None:
    """Green's name and number: a new version's, or those of a collection that is there already."""
    if existing is not None:
        aliases.keep(session, now, existing, row.alias, row.actor)
        known = session.get(Version, existing)
        if known is not None:
            row.green, row.number = existing, known.number
            return
    used = set(session.scalars(select(Version.collection)))
    row.green = existing or collection_name(row.alias, now, taken | used)
    row.number = (session.scalar(select(func.max(Version.number)).where(Version.alias == row.alias)) or 0) + 1
    session.add(
        Version(
            collection=row.green,
            alias=row.alias,
            number=row.number,
            parent=row.blue,
            deployment_id=row.id,
            created_at=now,
            facts=versions.asked(row.actor, row.source),
        )
    )


def _check_existing(services: Services, collection: str, blue: str | None, source: str | None) -> None:
    if source is not None:
        raise Refused(f"a new collection is either built from {source} or {collection} is taken; name one of the two")
    check_name("collection", collection)
    if collection == blue:
        raise Refused(f"{collection} is what is served already; name another collection")
    aliases.check_target(services, collection)


def _collections(services: Services, alias: str) -> set[str]:
    """Those there are, as far as they can be seen. Raises Refused if one of them is called as ``alias`` is."""
    try:
        found = services.store.collections()
    except Busy:
        return set()
    if alias in found:
        raise Refused(f"{alias} is a collection's name; an alias needs a name of its own")
    return found


def _last_live(session: Session, alias: str, collection: str) -> Deployment | None:
    query = select(Deployment).where(
        Deployment.alias == alias,
        Deployment.kind == "rollout",
        Deployment.status == Status.LIVE,
        Deployment.green == collection,
    )
    return session.scalars(query.order_by(Deployment.finished_at.desc()).limit(1)).first()


def _serving(live: Mapping[str, str], alias: str) -> str:
    if alias not in live:
        raise Unknown(f"alias {alias} does not exist; known: {_listed(live)}")
    return live[alias]


def _is_gone(services: Services, collection: str) -> bool:
    """False where another process has the store open: the switch itself looks again before it does anything."""
    try:
        return collection not in services.store.collections()
    except Busy:
        return False


def _check_names(services: Services, alias: str, collection: str) -> None:
    check_name("alias", alias)
    check_name("collection", collection)
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
        raise Unknown(f"alias {alias} does not exist; known: {_listed(services.store.aliases())}")


def _iso(row: Deletion) -> str:
    return row.due_at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _listed(names: Mapping[str, Any] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
