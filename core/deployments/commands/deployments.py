"""The commands for deployments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from qdrant_rollouts.core.collections import aliases, versions
from qdrant_rollouts.core.collections.changes import check_source
from qdrant_rollouts.core.collections.live_source import name_source
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.collections.stamps import foreign_metadata
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import alias_lock, engine, way_back
from qdrant_rollouts.core.deployments.claims import read_outputs
from qdrant_rollouts.core.deployments.commands.beginning import (
    InTransaction,
    begin_deployment,
    do_nothing,
)
from qdrant_rollouts.core.deployments.commands.specs import (
    check_alias_name,
    check_declared_sources,
    check_models,
    check_server_version,
    check_validation,
    declared_spec,
    get_serving_collection,
    inherit_model,
    join_names,
    live_aliases,
)
from qdrant_rollouts.core.deployments.commands.strictness import check_limits
from qdrant_rollouts.core.deployments.commands.unknown_models import (
    check_existing_model,
    check_model,
)
from qdrant_rollouts.core.deployments.commands.vector_declarations import (
    check_search,
    check_vectors,
)
from qdrant_rollouts.core.deployments.commands.writes import (
    settle_existing,
    settle_way_back,
    settle_writes,
)
from qdrant_rollouts.core.deployments.lookup import find_deployment
from qdrant_rollouts.core.deployments.plan import Plan, StepOutputs
from qdrant_rollouts.core.deployments.steps.data import CaughtUp
from qdrant_rollouts.core.deployments.strategies import STRATEGIES
from qdrant_rollouts.core.deployments.strategies import backup as backup_strategy
from qdrant_rollouts.core.deployments.strategies import rollback as rollback_strategy
from qdrant_rollouts.core.errors import Busy, Malformed, Refused
from qdrant_rollouts.core.gate.evidence.judged import warn_of_too_few
from qdrant_rollouts.core.gate.evidence.opening import read_judged_queries
from qdrant_rollouts.core.lifecycle import Event, Status
from qdrant_rollouts.core.ports import Source
from qdrant_rollouts.core.ports.naming import check_found_name, collection_name
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services


@dataclass(frozen=True, slots=True)
class Prepared:
    """A deployment that nothing speaks against, before anything of it is written. ``steps`` is its
    plan. Either ``source`` is set, or ``existing``, the collection that is taken instead.
    ``warnings`` are recorded with the deployment."""

    spec: IndexSpec
    steps: Plan
    blue: str | None
    source: Source | None
    existing: str | None
    warnings: tuple[str, ...]


def start_deployment(
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
    along: InTransaction = do_nothing,
) -> str:
    """Starts a deployment and returns its id.

    Missing arguments come from the index file. ``collection`` uses an existing collection instead
    of building one from ``source``; ``along`` writes more in the same transaction.
    """
    prepared = prepare_deployment(
        services,
        alias,
        source=source,
        strategy=strategy,
        queries=queries,
        rollback_on_failure=rollback_on_failure,
        collection=collection,
        options=options,
    )
    for warning in prepared.warnings:
        along = _with_warning(services, alias, warning, actor, along)
    begin = partial(
        begin_deployment,
        services,
        alias,
        prepared.spec,
        blue=prepared.blue,
        actor=actor,
        reason=reason,
        along=along,
    )
    if prepared.source is None:
        return begin(prepared.steps, existing=prepared.existing)
    return begin(prepared.steps, source=prepared.source.address)


def prepare_deployment(
    services: Services,
    alias: str,
    *,
    source: str | None = None,
    strategy: str | None = None,
    queries: Sequence[str] | None = None,
    rollback_on_failure: bool | None = None,
    collection: str | None = None,
    options: Mapping[str, Any] | None = None,
    writes: bool = True,
) -> Prepared:
    """Returns what ``start_deployment`` would begin with these arguments. Raises Refused as it
    does, for all that speaks against it before anything is built. Nothing is changed, except that
    the live collection gets a stamp if its model is proven; without ``writes`` not even that."""
    live = live_aliases(services)
    check_alias_name(services, alias, live)
    check_server_version(services)
    requested = _requested_options(source, strategy, queries, rollback_on_failure)
    spec, left_alone = _settle_spec(services, alias, live, requested, options or {}, collection)
    check_models(services, spec)
    plan = _plan_deployment(spec, existing=collection is not None)
    blue = live.get(alias)
    check_validation(services, spec, blue)
    too_few = warn_of_too_few(spec.validation, read_judged_queries(services, spec))
    if any(step.traits.needs_blue for step in plan) and blue is None:
        raise Refused(
            f"{alias} serves nothing a canary could be compared with; deploy it with blue_green "
            "first"
        )
    records = None
    if collection is not None:
        _check_existing_collection(services, collection, blue, source)
        check_search(services, spec, collection)
        check_existing_model(services, alias, spec, plan, blue, collection, writes=writes)
    else:
        records = _open_checked_source(services, alias, spec, live)
        check_limits(services, spec, blue, records)
        check_vectors(services, spec, blue, records)
        check_model(services, alias, spec, plan, blue, writes=writes)
        plan = _plan_with_unpacking(services, alias, plan, records.address)
    warnings = tuple(warning for warning in (left_alone, too_few) if warning)
    return Prepared(spec, plan, blue, records, collection, warnings)


def start_rollback(
    services: Services,
    alias: str,
    *,
    actor: str,
    reason: str = "",
    now: bool = False,
    along: InTransaction = do_nothing,
) -> str:
    """Starts a rollback to the version before the live one, while it is retained; returns the
    deployment's id. ``now``: waits for nothing, and lists what was written since and stays
    behind."""
    check_found_name("alias", alias)
    current = get_serving_collection(live_aliases(services), alias)
    with services.sessions() as session:
        alias_lock.check_alias_idle(session, alias)
        last = _last_live_deployment(session, alias, current)
    if last is None or last.blue is None:
        raise Refused(f"{alias} has no version before {current} to go back to")
    if _is_gone(services, last.blue):
        raise Refused(
            f"{last.blue}, the version before {current}, is no longer retained; deploy a new one"
        )
    spec = settle_way_back(services, read_stored(IndexSpec, last.spec), alias, current, last.blue)
    if spec.writes.way == "compare" and not now and _left_writes_behind(last):
        raise Refused(
            f"{current} never got what was written to {last.blue}, so to make {last.blue} like it "
            f"would delete that there; `rollouts rollback {alias} --now` goes back to it as it is"
        )
    return begin_deployment(
        services,
        alias,
        spec.model_copy(update={"strategy": "rollback"}),
        rollback_strategy.plan_rollback(spec, now=now),
        blue=current,
        actor=actor,
        existing=last.blue,
        reason=reason,
        along=along,
        told_as="rollback_by_hand",
    )


def describe_rollback(services: Services, alias: str) -> str:
    """Returns what a rollback of ``alias`` does with what was written since the switch, in words;
    empty if there is nothing to go back to."""
    current = services.store.aliases().get(alias)
    with services.sessions() as session:
        last = _last_live_deployment(session, alias, current) if current else None
        if last is None or last.blue is None:
            return ""
        if _left_writes_behind(last):
            return (
                f"only with --now: {current} never got what was written to {last.blue}; what was "
                f"written to {current} since stays there"
            )
        return way_back.describe_writes(session, last)


def request_action(
    services: Services, deployment_id: str, event: Event, *, actor: str, reason: str = ""
) -> str:
    """Leaves a request (promote, retry, pause, resume, abort) for the engine; returns the
    deployment's full id."""
    found = find_deployment(services, deployment_id)
    engine.store_request(services, found, event, actor, reason)
    return found


def _settle_spec(
    services: Services,
    alias: str,
    live: Mapping[str, str],
    requested: Mapping[str, Any],
    options: Mapping[str, Any],
    existing: str | None,
) -> tuple[IndexSpec, str]:
    """Returns the settings of this deployment: what is declared, what was requested, and what
    follows from both. If an existing collection gets no writes although the live one is the truth,
    returns also why."""
    declared = declared_spec(services, alias, live)
    asked = declared.with_options(requested, "request").with_options(options)
    spec = inherit_model(services, asked, live.get(alias))
    check_declared_sources(spec, declared)
    blue = live.get(alias)
    if existing is not None:
        return settle_existing(services, spec, alias, blue, existing)
    return settle_writes(services, spec, alias, blue), ""


def _with_warning(
    services: Services, alias: str, warning: str, actor: str, along: InTransaction
) -> InTransaction:
    """Records a warning with the deployment, so the person who starts it sees it at once."""

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


def _requested_options(
    source: str | None,
    strategy: str | None,
    queries: Sequence[str] | None,
    rollback_on_failure: bool | None,
) -> dict[str, Any]:
    asked = {
        "source": source,
        "strategy": strategy,
        "validation": {"queries": list(queries)} if queries is not None else None,
        "rollback_on_failure": rollback_on_failure,
    }
    return {key: value for key, value in asked.items() if value is not None}


def _plan_deployment(spec: IndexSpec, *, existing: bool) -> Plan:
    if spec.strategy not in STRATEGIES:
        raise Malformed(
            f"strategy {quote_value(spec.strategy)} is not known; known: {join_names(STRATEGIES)}"
        )
    return STRATEGIES[spec.strategy](spec, existing=existing)


def _open_checked_source(
    services: Services, alias: str, spec: IndexSpec, live: Mapping[str, str]
) -> Source:
    if spec.source is None:
        raise Refused(
            f"{alias} has no source; name one (--source jsonl:FILES, dir:FOLDER, collection:NAME, "
            "live, backup:ID …)"
        )
    source = services.source(name_source(spec.source, alias, live))
    try:
        check_source(source, spec)
    except Busy:
        if source.collection is None:
            raise
    return source


def _plan_with_unpacking(services: Services, alias: str, plan: Plan, source: str) -> Plan:
    """Returns the plan; if the records come from a backup, with a collection for them that has a
    new name."""
    backup = backup_of(source)
    if backup is None:
        return plan
    with services.sessions() as session:
        now = services.clock.now(session)
        used = versions.list_used_names(session)
    name = collection_name(f"{alias}_source", now, services.store.collections() | used)
    return backup_strategy.plan_unpacking(plan, backup, name)


def _check_existing_collection(
    services: Services, collection: str, blue: str | None, source: str | None
) -> None:
    if source is not None:
        raise Refused(
            f"a new collection is either built from {source} or {collection} is taken; name one of "
            "the two"
        )
    check_found_name("collection", collection)
    if collection == blue:
        raise Refused(f"{collection} is already live; name another collection")
    aliases.check_target(services, collection)
    foreign_metadata(services.store.metadata(collection), collection)


def _last_live_deployment(session: Session, alias: str, collection: str) -> Deployment | None:
    query = select(Deployment).where(
        Deployment.alias == alias,
        Deployment.kind == "rollout",
        Deployment.status == Status.LIVE,
        Deployment.green == collection,
    )
    query = query.options(selectinload(Deployment.steps))
    return session.scalars(query.order_by(Deployment.finished_at.desc()).limit(1)).first()


def _left_writes_behind(last: Deployment) -> bool:
    """Returns whether ``last`` went back without what had been written to the version that it left:
    at once, or because nothing could be read from it."""
    if any(step.arguments.get("lists") for step in last.steps):
        return True
    caught_up = StepOutputs(read_outputs(last)).find(CaughtUp)
    return caught_up is not None and caught_up.gave_up


def _is_gone(services: Services, collection: str) -> bool:
    """Returns False if another process has the store open: the switch itself checks again before it
    acts."""
    try:
        return collection not in services.store.collections()
    except Busy:
        return False
