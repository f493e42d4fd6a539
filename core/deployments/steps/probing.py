"""Probes for a canary with little traffic: each look sends the validation queries to green.

They are recorded as synthetic and never added to what users experienced. They can show that green
fails, but not that it is healthy.
"""

import random
import time

from qdrant_rollouts.core.collections.makers import open_makers
from qdrant_rollouts.core.collections.text_search import build_text_search
from qdrant_rollouts.core.collections.vectors import VectorPlan, read_plan
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import CreatedGreen
from qdrant_rollouts.core.deployments.steps.observed import stage_name
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.gate.evidence.opening import existing_plan
from qdrant_rollouts.core.ports import SearchParams
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.route import CANARY
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.groups import GROUPS
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

_MOST_QUERIES = 20
_QUERY_SECONDS = 4.0
_RESULTS_PER_QUERY = 10


def probe_green(context: StepContext) -> None:
    """Sends the probes. Safe to run twice: the probes of a turn are recorded once."""
    deployment = context.deployment
    services = context.services
    tally = TrafficSketch()
    for query in deployment.spec.validation.queries[:_MOST_QUERIES]:
        _ask_query(context, query, tally)
    if tally.calls:
        key = TrafficKey(
            deployment.alias, stage_name(context), CANARY, "synthetic", deployment.green
        )
        process = f"probes:{deployment.id}"
        traffic.write_tallies(
            services.sessions, services.clock, process, context.turn.number, {key: tally}
        )


def _find_vector_plan(context: StepContext) -> VectorPlan:
    """Returns how green's vectors are made. For a collection that existed before, its stamp says
    it, or the index file if there is no stamp."""
    created = context.outputs.find(CreatedGreen)
    if created is not None:
        return read_plan(context.deployment.spec, created.vectors, created.vector)
    return existing_plan(context.services, context.deployment.green, context.deployment.spec)


def _ask_query(context: StepContext, query: str, tally: TrafficSketch) -> None:
    store = context.services.store
    plan = _find_vector_plan(context)
    search = build_text_search(context.deployment.spec.search, plan.templates, plan.kept)
    makers = open_makers(context.services, plan)
    limits = store.limits(context.deployment.green)
    vector, using = search.query(lambda name: makers[name].query(query), _RESULTS_PER_QUERY, limits)
    most = limits.page(_RESULTS_PER_QUERY)
    group = random.randrange(GROUPS)  # noqa: S311 - no user sent this query
    started = time.perf_counter()
    try:
        hits = store.search(
            context.deployment.green,
            vector,
            most,
            SearchParams(using=using, seconds=_QUERY_SECONDS),
        )
    except AppError:
        tally.add(group, time.perf_counter() - started, error=True)
        return
    tally.add(group, time.perf_counter() - started, results=len(hits))
