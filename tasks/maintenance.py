"""What beat knocks for: turns that were lost, deletions that are due, looks at experiments, schedules, observations
that have aged."""

from collections.abc import Callable

from celery import Celery

from core import engine, retention, traffic
from core.schedules import runs
from core.schedules import sweep as schedules
from core.services import Services
from core.trials import folding, looking

TAKE_UP = "schedules.take_up"
#: The next sweep asks again.
_SOON = 30


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
        forgotten = runs.prune(services())
        return f"{folded} rows of observations folded, {pruned} deleted; {forgotten} old runs of schedules deleted"

    def sweep() -> str:
        swept = schedules.sweep(services())
        for run_id in swept.open:
            app.send_task(TAKE_UP, args=(run_id,), queue="bulk", expires=_SOON, ignore_result=True)
        return "; ".join(swept.lines) or "no time has come"

    def take_up(run_id: int) -> str:
        return schedules.take_up(services(), run_id)

    app.task(rouse, name="deployments.rouse", send_events=False, shared=False)
    app.task(delete_due, name="collections.delete_due", send_events=False, shared=False)
    app.task(look, name="experiments.look", send_events=False, shared=False)
    app.task(fold, name="traffic.fold", send_events=False, shared=False)
    app.task(sweep, name="schedules.sweep", send_events=False, shared=False)
    app.task(take_up, name=TAKE_UP, ignore_result=True, shared=False)
