"""The commands for deployments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from qdrant_rollouts.core.collections import aliases, versions
from qdrant_rollouts.core.collections.changes import check_source
from qdrant_rollouts.core.collections.live_source import name_source
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.collections.stamps import foreign_metadata
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.deployments.commands.beginning import (
    InTransaction,
    begin_deployment,
    do_nothing,
    warn_along,
)
from qdrant_rollouts.core.deployments.commands.specs import (
    check_alias_name,
    check_declared_sources,
    check_models,
    check_server_version,
    check_validation,
    declared_spec,
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
from qdrant_rollouts.core.deployments.commands.writes import settle_existing, settle_writes
from qdrant_rollouts.core.deployments.lookup import find_deployment
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.strategies import STRATEGIES
from qdrant_rollouts.core.deployments.strategies import backup as backup_strategy
from qdrant_rollouts.core.errors import Busy, Malformed, Refused
from qdrant_rollouts.core.gate.evidence.judged import warn_of_too_few
from qdrant_rollouts.core.gate.evidence.opening import read_judged_queries
from qdrant_rollouts.core.lifecycle import Event
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
        along = warn_along(services, alias, warning, along, actor)
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
    spec, left_alone = settle_spec(services, alias, live, requested, options or {}, collection)
    check_models(services, spec)
    plan = plan_steps(spec, existing=collection is not None)
    blue = live.get(alias)
    check_validation(services, spec, blue)
    too_few = warn_of_too_few(spec.validation, read_judged_queries(services, spec))
    check_blue(plan, alias, blue)
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


def check_blue(plan: Plan, alias: str, blue: str | None) -> None:
    """Raises Refused for a plan that needs a live collection where there is none."""
    if blue is None and any(step.traits.needs_blue for step in plan):
        raise Refused(
            f"{alias} serves nothing a canary could be compared with; deploy it with blue_green "
            "first"
        )


def request_action(
    services: Services,
    deployment_id: str,
    event: Event,
    *,
    actor: str,
    reason: str = "",
    place: str | None = None,
    along: InTransaction = do_nothing,
) -> str:
    """Leaves a request (promote, retry, pause, resume, abort) for the engine; returns the
    deployment's full id. ``place`` is where the person saw the deployment, if that is known: a
    request that goes on is refused if it has moved on since."""
    found = find_deployment(services, deployment_id)
    engine.store_request(services, found, event, actor, reason, place, along)
    return found


def settle_spec(
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


def plan_steps(spec: IndexSpec, *, existing: bool) -> Plan:
    """Raises Malformed for a strategy that is not known."""
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
