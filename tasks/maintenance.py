"""What beat knocks for: turns that were lost, deletions that are due, looks at experiments, observations that have
aged, alerts that wait."""

from collections.abc import Callable

from celery import Celery

from core import deliveries, engine, events, retention, traffic
from core.services import Services
from core.trials import folding, looking


def register(app: Celery, services: Callable[[], Services]) -> None:
    """Without events: they would be 17,280 rows a day in Flower."""

    def rouse() -> str:
        return f"{len(engine.overdue(services()))} knocked again"

    def delete_due() -> str:
        return "; ".join(retention.delete_due(services())) or "nothing due"

    def look() -> str:
        return "; ".join(looking.look_due(services())) or "no look due"

    def fold() -> str:
        folded, pruned = traffic.fold(services()) + folding.fold(services()), traffic.prune(services())
        return f"{folded} rows of observations folded, {pruned} deleted"

    def deliver() -> str:
        return "; ".join(deliveries.deliver_due(services())) or "nothing to tell"

    for name, sweep in {
        "deployments.rouse": rouse,
        "collections.delete_due": delete_due,
        "experiments.look": look,
        "traffic.fold": fold,
        "alerts.deliver": deliver,
    }.items():
        app.task(_by_beat(sweep), name=name, send_events=False, shared=False)


def _by_beat(sweep: Callable[[], str]) -> Callable[[], str]:
    def run() -> str:
        with events.through("beat"):
            return sweep()

    return run
