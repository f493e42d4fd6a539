"""The estimate that a deployment keeps, to be compared with what filling took.

Rule: an estimate changes nothing, and cannot fail a deployment.
"""

import logging
import random

from qdrant_rollouts.core.collections.makers import open_makers
from qdrant_rollouts.core.database.plan_rows import PlanRow
from qdrant_rollouts.core.database.upserts import insert_new
from qdrant_rollouts.core.deployments.fillings import list_paces
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.estimates import Work, estimate_work, show_interval
from qdrant_rollouts.core.deployments.steps.source_sample import OF_DEPLOYMENTS
from qdrant_rollouts.core.deployments.steps.ways import NewCollection, Way
from qdrant_rollouts.core.errors import LeaseLost
from qdrant_rollouts.core.ports import Source
from qdrant_rollouts.core.statistics import extrapolation

log = logging.getLogger(__name__)
#: Each page is a request, and there is a pause between two of them.
_SITE = "sitemap:"


def keep_estimate(context: StepContext, source: Source, green: NewCollection, way: Way) -> None:
    """Keeps what filling is expected to take, so that it can be compared with what it took. May be
    repeated: the first estimate stays."""
    if source.address.startswith(_SITE):
        return
    services = context.services
    ends_turn: tuple[type[BaseException], ...] = (LeaseLost, *services.interruptions)
    try:
        if not source.size():
            return
        makers = open_makers(services, green.vectors) if way.embeds else {}
        draw = random.Random()  # noqa: S311 - hides nothing
        work = estimate_work(context, source, green, makers, way, OF_DEPLOYMENTS, draw)
        _write_estimate(context, way, work)
    except ends_turn:
        raise
    except Exception as error:  # noqa: BLE001
        # Whatever is wrong with the source, the model or the server is met again by the filling,
        # which says it. An estimate that is missing harms nobody.
        log.info("no estimate for deployment %s: %s", context.deployment.id, type(error).__name__)


def _write_estimate(context: StepContext, way: Way, work: Work) -> None:
    services = context.services
    deployment = context.deployment
    if work.records is None or work.texts is None:
        return
    texts = extrapolation.add(list(work.texts.values()))
    models = {model.model for model in deployment.spec.models}
    with services.sessions.begin() as session:
        context.turn.fence(session)
        paces = list_paces(session, deployment.alias, way.name, models)
        seconds = extrapolation.estimate_seconds(paces, work.records, texts)
        estimate = {
            "way": way.name,
            "records": show_interval(work.records),
            "texts": show_interval(texts),
            "seconds": show_interval(seconds) if seconds is not None else None,
        }
        row = {
            "deployment_id": deployment.id,
            "created_at": services.clock.now(session),
            "estimate": estimate,
        }
        insert_new(session, PlanRow, [row])
