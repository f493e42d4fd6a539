"""Probes of a canary that has little traffic: the validation queries, asked of green at each look.

They are kept as synthetic and never added to what users experienced: they can show that green fails, not that it is
healthy.
"""

import random
import time

from qdrant_rollouts.core.collections.makers import open_makers
from qdrant_rollouts.core.collections.text_search import text_search
from qdrant_rollouts.core.collections.vectors import VectorPlan, plan_of
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.observed import stage_name
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.gate.evidence.opening import existing_plan
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.route import CANARY
from qdrant_rollouts.core.routing.traffic import Key
from qdrant_rollouts.core.statistics.groups import GROUPS
from qdrant_rollouts.core.statistics.traffic_sketch import Tally

_MOST = 20
_SECONDS = 4.0
_RESULTS = 10


def probe(context: StepContext) -> None:
    """Safe to run twice: a turn's probes are written once."""
    deployment, services = context.deployment, context.services
    tally = Tally()
    for query in deployment.spec.validation.queries[:_MOST]:
        _ask(context, query, tally)
    if tally.calls:
        key = Key(deployment.alias, stage_name(context), CANARY, "synthetic", deployment.green)
        process = f"probes:{deployment.id}"
        traffic.write(services.sessions, services.clock, process, context.turn.number, {key: tally})


def _plan(context: StepContext) -> VectorPlan:
    """Of a collection that was there already, by its stamp, or by the index file where it has none."""
    if "create" in context.outputs:
        return plan_of(context.deployment.spec, context.outputs["create"])
    return existing_plan(context.services, context.deployment.green, context.deployment.spec)


def _ask(context: StepContext, query: str, tally: Tally) -> None:
    store, plan = context.services.store, _plan(context)
    search = text_search(context.deployment.spec.search, plan.templates, plan.kept)
    makers, limits = open_makers(context.services, plan), store.limits(context.deployment.green)
    vector, using = search.query(lambda name: makers[name].query(query), _RESULTS, limits)
    most = limits.page(_RESULTS)
    group = random.randrange(GROUPS)  # noqa: S311 - no user asked this
    started = time.perf_counter()
    try:
        hits = store.search(context.deployment.green, vector, most, using=using, seconds=_SECONDS)
    except AppError:
        tally.add(group, time.perf_counter() - started, error=True)
        return
    tally.add(group, time.perf_counter() - started, results=len(hits))
