"""Celery as the engine's messenger: the app with its settings, and the knocker that sends through
it.

Every number below was measured; "row n" and sections refer to celery-facts in the design notes,
summed up in docs/celery.md.
"""

import logging
from collections.abc import Callable
from inspect import signature
from typing import Any

from celery import Celery, Task
from celery.exceptions import SoftTimeLimitExceeded, TaskPredicate
from sqlalchemy.engine import make_url

from qdrant_rollouts.adapters import broker_url, database, redis_broker
from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY
from qdrant_rollouts.adapters.late import late
from qdrant_rollouts.adapters.waiting import Queues, make_id
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import AppError, Interrupted, OtherRelease
from qdrant_rollouts.core.ports import Knock
from qdrant_rollouts.core.sanitize.redaction import without_secrets
from qdrant_rollouts.core.services import Standing

log = logging.getLogger(__name__)

#: Exceptions that end a turn in a worker from outside.
INTERRUPTIONS = (SoftTimeLimitExceeded, Interrupted)

#: In the headers of a message whose sender sends it again if it has no effect.
AGAIN = "rollouts_again"


class App(Celery):  # type: ignore[misc]  # Celery has no types
    #: How this program relates to the database's release now; set by the code that registers tasks
    #: which need it.
    standing: Callable[[], Standing] = staticmethod(Standing)
    #: Returns messages to the queue; a worker's main process has one.
    giver: Any = None
    #: Whether a worker takes messages; see ``tasks.fitting``. A main process has one.
    taking: Any = None


def open_knocker(settings: Settings) -> "CeleryKnocker":
    return CeleryKnocker(make_app(settings))


def make_app(settings: Settings) -> App:
    """Returns the Celery app, without tasks. No connection is made. Raises Refused for an unusable
    broker URL."""
    redis_broker.register_transport()
    broker_url.check_broker_url(settings.broker_url.get_secret_value())
    app = App(
        "rollouts",
        broker=settings.broker_url.get_secret_value(),
        set_as_current=False,
        task_cls=_Task,
    )
    url = settings.database_url.get_secret_value()
    app.conf.update(
        SETTINGS,
        result_backend=f"db+{url}",
        database_engine_options={
            "connect_args": database.connect_arguments(make_url(url)),
            "hide_parameters": True,
        },
    )
    return app


class _Task(Task):  # type: ignore[misc]
    """What a task raises goes, with its causes, into the result backend, the worker's log and
    Flower. There is one exception: if this program cannot work with the database's release, the
    message goes back to its queue."""

    Request = "qdrant_rollouts.adapters.celery_returns:ReturningRequest"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._check(args, kwargs)
        try:
            return self.run(*args, **kwargs)
        except OtherRelease as error:
            raise give_back(str(error)) from None
        except TaskPredicate:
            raise
        except Exception as error:
            # The cause may be a table that this program does not know, whatever the error is called
            # here.
            if unfit := _read_standing(self.app).unfit:
                raise give_back(unfit) from None
            # The task's boundary: every error leaves without the secrets that may be in it.
            if (safe := without_secrets(error)) is not None:
                raise safe from None
            raise

    def _check(self, args: Any, kwargs: Any) -> None:
        """Arguments that this program does not accept, although a newer program that may accept
        them is in use."""
        try:
            signature(self.run).bind(*args, **kwargs)
        except TypeError as error:
            if _read_standing(self.app).behind:
                raise give_back(f"{self.name}: {error}", counted=True) from None


def give_back(reason: str, *, counted: bool = False) -> Exception:
    """Raised by a task so that its message goes back to the queue, for a worker of another
    release."""
    made: Exception = late("adapters.celery_returns", "GiveBack")(reason, counted=counted)
    return made


def _read_standing(app: App) -> Standing:
    try:
        return app.standing()
    except AppError:
        return Standing()


SETTINGS: dict[str, Any] = {
    "worker_consumer": "qdrant_rollouts.adapters.celery_returns:ReturningConsumer",
    "broker_transport_options": {
        "visibility_timeout": 900,  # far longer than a turn; a doubled knock is declined (row 1)
        # look for unacknowledged messages every 10 s, not every 100 (rows 1, 10)
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,  # otherwise a half-open Redis blocks for ever (row 10)
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 25,
    },
    "broker_connection_retry_on_startup": True,
    # by default the worker gives up after 100 tries and ends
    "broker_connection_max_retries": None,
    "task_publish_retry_policy": {
        "max_retries": 1,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },  # a knock may be lost
    "result_extended": False,
    "task_ignore_result": True,  # only commands answer, and ask for it explicitly (row 9)
    "task_acks_late": True,  # a turn cut short by a shutdown goes back to the queue
    # True redelivers a message that kills its worker without limit (row 3)
    "task_reject_on_worker_lost": False,
    "task_acks_on_timeout": True,  # False requeues without limit (row 2)
    "worker_prefetch_multiplier": 1,  # nothing waits behind a turn of bulk work
    # a short outage of Redis must not kill a turn
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    # a turn fits in 30 s; REMAP_SIGTERM=SIGQUIT makes TERM use it (row 17)
    "worker_soft_shutdown_timeout": 30,
    "task_soft_time_limit": 60,  # soft + one HTTP timeout < hard
    # hard < the longest lease of 90 s (law 3); tasks.steps has more for long steps
    "task_time_limit": 75,
    # by default a new child that loads a model is killed after 4 s (row 22)
    "worker_proc_alive_timeout": 120,
    # embedding libraries leak; the sweep alone is one task per second
    "worker_max_tasks_per_child": 5000,
    "worker_send_task_events": True,  # Flower
    "task_send_sent_event": False,  # lost and doubled knocks would show as PENDING for ever
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],  # messages carry data, never code
    "task_default_queue": "control",
    # nothing on disk, and no clock that can be set
    "beat_scheduler": "qdrant_rollouts.tasks.ticks:Scheduler",
    "beat_max_loop_interval": 5,
    # `celery inspect ping` on beat's node is its liveness probe
    "beat_enable_remote_control": True,
    "worker_hijack_root_logger": False,
    "timezone": "UTC",
}

#: Seconds for a long turn: its lease ends it long before, if it makes no progress.
LONG_LIMITS = {"soft_time_limit": 86_400, "time_limit": 86_415}


class CeleryKnocker:
    """Sends knocks that are due; the sweep sends any other when it is due. A message carries no
    time, because its receiver would compare that with its own clock.

    Nothing is raised, whatever the broker does: the row is committed and the sweep knocks again.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._queues = Queues(app)

    def __call__(self, knock: Knock) -> None:
        if knock.countdown > 0:
            return
        arguments = [knock.deployment_id, knock.turn]
        thing = f"{knock.deployment_id[:8]}-t{knock.turn:03d}"
        if knock.slice is not None:
            arguments = [knock.deployment_id, knock.slice, knock.turn]
            thing = f"{knock.deployment_id[:8]}-s{knock.slice}-t{knock.turn:03d}"
        try:
            if knock.again and not self._queues.calls_for(knock.queue, thing):
                return
            self._app.send_task(
                f"deployments.{knock.step}",
                args=arguments,
                queue=knock.queue,
                ignore_result=True,  # send_task by name ignores task_ignore_result (row 9)
                task_id=make_id(thing),
                root_id=knock.deployment_id,
                headers={AGAIN: True, **(redis_broker.AT_THE_FRONT if knock.first else {})},
                argsrepr=knock.label,
                kwargsrepr="",  # people do not read them
                **(LONG_LIMITS if knock.long else {}),
            )
            self._queues.note_sent(knock.queue, thing)
        except BROKER_AWAY as error:
            log.warning(
                "turn %s of %s was not knocked for: %s",
                knock.turn,
                knock.deployment_id,
                type(error).__name__,
            )
