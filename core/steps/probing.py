"""Probes of a canary that has little traffic: the validation queries, asked of green at each look.

They are kept as synthetic and never added to what users experienced: they can show that green fails, not that it is
healthy.
"""

import random
import time

from core import traffic
from core.errors import AppError
from core.measures.groups import GROUPS
from core.plan import StepContext
from core.routing.route import CANARY
from core.schema import meant_vector
from core.stamps import read_stamp
from core.steps.observed import stage_name
from core.tally import Tally
from core.traffic import Key

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


def _vector(context: StepContext) -> str:
    """The one that searches in words ask; a collection that was there already says it by its stamp, if it has one."""
    if "create" in context.outputs:
        return str(context.outputs["create"].get("vector", ""))
    store, green = context.services.store, context.deployment.green
    stamp = read_stamp(store, green)
    return meant_vector(store.schema(green), stamp.vector if stamp else context.deployment.spec.models[0].vector)


def _ask(context: StepContext, query: str, tally: Tally) -> None:
    models, store = context.deployment.spec.models, context.services.store
    assert models, "a deployment with queries and no model is refused when it is asked for"
    vector = context.services.embedder(models[0]).query(query)
    using = _vector(context)
    most = store.limits(context.deployment.green).page(_RESULTS)
    group = random.randrange(GROUPS)  # noqa: S311 - no user asked this
    started = time.perf_counter()
    try:
        hits = store.search(context.deployment.green, vector, most, using=using, seconds=_SECONDS)
    except AppError:
        tally.add(group, time.perf_counter() - started, error=True)
        return
    tally.add(group, time.perf_counter() - started, results=len(hits))
