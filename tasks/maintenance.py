"""What beat knocks for: turns that were lost, deletions that are due, looks at experiments, schedules, observations
that have aged, alerts that wait."""

from collections.abc import Callable

from celery import Celery

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.collections import scratch
from qdrant_rollouts.core.collections.deletion import deletions as retention
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.deployments import engine
from qdrant_rollouts.core.deployments.backups import final
from qdrant_rollouts.core.experiments import folding, looking
from qdrant_rollouts.core.operations.schedules import runs
from qdrant_rollouts.core.operations.schedules import sweep as schedules
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.services import Services

TAKE_UP = "schedules.take_up"
#: The next sweep asks again.
_SOON = 30


def register(app: Celery, services: Callable[[], Services]) -> None:
    """Without events: they would be 17,280 rows a day in Flower."""

    def sweep(house: Services) -> str:
        swept = schedules.sweep(house)
        for run_id in swept.open:
            app.send_task(TAKE_UP, args=(run_id,), queue="bulk", expires=_SOON, ignore_result=True)
        return "; ".join(swept.lines) or "no time has come"

    def take_up(run_id: int) -> str:
        with events.through("beat"):
            return schedules.take_up(services(), run_id)

    for name, work in {**SWEEPS, "schedules.sweep": sweep}.items():
        app.task(_by_beat(work, services), name=name, send_events=False, shared=False)
    app.task(take_up, name=TAKE_UP, ignore_result=True, shared=False)


def _by_beat(work: Callable[[Services], str], services: Callable[[], Services]) -> Callable[[], str]:
    def run() -> str:
        with events.through("beat"):
            return work(services())

    return run


def _rouse(house: Services) -> str:
    return f"{len(engine.overdue(house))} knocked again"


def _delete_due(house: Services) -> str:
    return (
        "; ".join([*final.secure_due(house), *retention.delete_due(house), *scratch.drop_old(house.store)])
        or "nothing due"
    )


def _look(house: Services) -> str:
    return "; ".join(looking.look_due(house)) or "no look due"


def _fold(house: Services) -> str:
    folded, pruned = traffic.fold(house) + folding.fold(house), traffic.prune(house)
    forgotten = runs.prune(house)
    return f"{folded} rows of observations folded, {pruned} deleted; {forgotten} old runs of schedules deleted"


def _deliver(house: Services) -> str:
    return "; ".join(deliveries.deliver_due(house)) or "nothing to tell"


SWEEPS: dict[str, Callable[[Services], str]] = {
    "deployments.rouse": _rouse,
    "collections.delete_due": _delete_due,
    "experiments.look": _look,
    "traffic.fold": _fold,
    "alerts.deliver": _deliver,
}
