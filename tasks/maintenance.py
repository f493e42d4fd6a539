"""What beat knocks for: turns that were lost, deletions that are due, looks at experiments, schedules, observations
that have aged, alerts that wait."""

import logging
from collections.abc import Callable

from celery import Celery

from qdrant_rollouts.adapters.celery import AGAIN, BROKER_AWAY
from qdrant_rollouts.adapters.waiting import Queues, make_id
from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.collections import scratch
from qdrant_rollouts.core.collections.deletion import deletions as retention
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.deployments import engine, workers
from qdrant_rollouts.core.deployments.backups import final
from qdrant_rollouts.core.experiments import folding, looking
from qdrant_rollouts.core.operations.schedules import runs
from qdrant_rollouts.core.operations.schedules import sweep as schedules
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

TAKE_UP = "schedules.take_up"
#: Sweeps are asked for every second, by several.
_REST = 0.7


def register(app: Celery, services: Callable[[], Services]) -> None:
    """Without events: they would be 17,280 rows a day in Flower."""

    queues = Queues(app)

    def sweep(house: Services) -> str:
        swept = schedules.sweep(house)
        try:
            for run_id in swept.open:
                _ask(app, queues, run_id)
        except BROKER_AWAY as error:
            log.warning("runs of schedules are asked for by the next sweep: %s", type(error).__name__)
        return "; ".join(swept.lines) or "no time has come"

    def take_up(run_id: int) -> str:
        with events.through("beat"):
            return schedules.take_up(services(), run_id)

    for name, work in {**SWEEPS, "schedules.sweep": sweep}.items():
        app.task(_by_beat(work, services), name=name, send_events=False, shared=False)
    app.task(take_up, name=TAKE_UP, ignore_result=True, shared=False)


def _ask(app: Celery, queues: Queues, run_id: int) -> None:
    """To have a run taken up; every sweep does it anew until the run has ended."""
    thing = f"run-{run_id}"
    if queues.calls_for("bulk", thing):
        app.send_task(
            TAKE_UP,
            args=(run_id,),
            queue="bulk",
            task_id=make_id(thing),
            headers={AGAIN: True},
            ignore_result=True,
        )
        queues.sent("bulk", thing)


def _by_beat(work: Callable[[Services], str], services: Callable[[], Services]) -> Callable[[], str]:
    def run() -> str:
        with events.through("beat"):
            return work(services())

    return run


def _rouse(house: Services) -> str:
    return f"{len(engine.overdue(house, rest=_REST))} knocked for"


def _delete_due(house: Services) -> str:
    return (
        "; ".join([*final.secure_due(house), *retention.delete_due(house), *scratch.drop_old(house.store)])
        or "nothing due"
    )


def _look(house: Services) -> str:
    return "; ".join(looking.look_due(house)) or "no look due"


def _fold(house: Services) -> str:
    folded, pruned = traffic.fold(house) + folding.fold(house), traffic.prune(house)
    forgotten, gone = runs.prune(house), workers.forget(house)
    told = f"{folded} rows of observations folded, {pruned} deleted; {forgotten} old runs of schedules deleted"
    return f"{told}; {gone} workers forgotten" if gone else told


def _deliver(house: Services) -> str:
    return "; ".join(deliveries.deliver_due(house)) or "nothing to tell"


SWEEPS: dict[str, Callable[[Services], str]] = {
    "deployments.rouse": _rouse,
    "collections.delete_due": _delete_due,
    "experiments.look": _look,
    "traffic.fold": _fold,
    "alerts.deliver": _deliver,
}
