"""What beat asks for: lost turns, due deletions, looks at experiments, schedules, writes that older
versions and treatments lack, old observations, waiting alerts."""

import logging
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from celery import Celery

from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY
from qdrant_rollouts.adapters.celery import AGAIN
from qdrant_rollouts.adapters.waiting import Queues, make_id
from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.deployments import engine, following
from qdrant_rollouts.core.experiments import following as treatments
from qdrant_rollouts.core.operations.schedules import sweep as schedule_sweep
from qdrant_rollouts.core.operations.sweeps import SWEEPS, Sweep
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

TAKE_UP = "schedules.take_up"
FOLLOW_BACK = "writes.follow_back"
FOLLOW_CONTROL = "writes.follow_control"


def register_sweeps(app: Celery, services: Callable[[], Services]) -> None:
    """Without events: they would be 17,280 rows a day in Flower."""
    queues = Queues(app)
    asking: dict[str, Sweep] = {
        "schedules.sweep": partial(_ask_for_runs, app, queues),
        "writes.follow": partial(_ask_for_followers, app, queues),
    }
    for name, work in {**_DRIVEN, **asking}.items():
        app.task(_run_by_beat(work, services), name=name, send_events=False, shared=False)

    def take_up(run_id: int) -> str:
        with events.use_source("beat"):
            return schedule_sweep.take_up_run(services(), run_id)

    def follow_back(alias: str) -> str:
        with events.use_source("beat"):
            return following.follow_back(services(), alias)

    def follow_control(experiment_id: str) -> str:
        with events.use_source("beat"):
            return treatments.follow_control(services(), experiment_id)

    app.task(take_up, name=TAKE_UP, ignore_result=True, shared=False)
    app.task(follow_back, name=FOLLOW_BACK, ignore_result=True, shared=False)
    app.task(follow_control, name=FOLLOW_CONTROL, ignore_result=True, shared=False)


def _ask_for_runs(app: Celery, queues: Queues, services: Services) -> str:
    swept = schedule_sweep.sweep_schedules(services)
    try:
        for run_id in swept.open:
            _ask(app, queues, TAKE_UP, f"run-{run_id}", run_id)
    except BROKER_AWAY as error:
        log.warning("runs of schedules are asked for by the next sweep: %s", type(error).__name__)
    return "; ".join(swept.lines) or "no time has come"


def _ask_for_followers(app: Celery, queues: Queues, services: Services) -> str:
    behind = following.list_behind(services)
    due = treatments.list_due(services)
    try:
        for alias in behind:
            _ask(app, queues, FOLLOW_BACK, f"follower-{quote(alias, safe='')}", alias)
        for experiment_id in due:
            _ask(app, queues, FOLLOW_CONTROL, f"treatments-{experiment_id}", experiment_id)
    except BROKER_AWAY as error:
        log.warning("collections wait for the next sweep: %s", type(error).__name__)
    return ", ".join([*behind, *due]) or "no collection lacks a write"


def _ask(app: Celery, queues: Queues, task: str, thing: str, argument: int | str) -> None:
    """Asks a bulk worker for work on ``thing``; every sweep does so again until it is done."""
    if queues.calls_for("bulk", thing):
        app.send_task(
            task,
            args=(argument,),
            queue="bulk",
            task_id=make_id(thing),
            headers={AGAIN: True},
            ignore_result=True,
        )
        queues.note_sent("bulk", thing)


def _run_by_beat(
    work: Callable[[Services], str], services: Callable[[], Services]
) -> Callable[[], str]:
    def run() -> str:
        with events.use_source("beat"):
            return work(services())

    return run


def _knock_overdue_turns(services: Services) -> str:
    return f"{len(engine.knock_overdue_turns(services))} knocked for"


def _deliver_due_alerts(services: Services) -> str:
    return "; ".join(deliveries.deliver_due(services)) or "nothing to tell"


#: By the name of their task.
_DRIVEN: dict[str, Sweep] = {
    **SWEEPS,
    "deployments.rouse": _knock_overdue_turns,
    "alerts.deliver": _deliver_due_alerts,
}
