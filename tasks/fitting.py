"""Workers that cannot work with the database's release take no messages until they can.

Rule: a child checks before it begins, at most every two seconds, and again when a task fails. Its
message goes back to the queue, and its main process takes no more, so no message circulates. If the
database does not answer, the last result holds.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool
from celery.worker.control import inspect_command
from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY
from qdrant_rollouts.adapters.celery import AGAIN, App
from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.errors import AppError, OtherRelease
from qdrant_rollouts.core.services import Services, Standing

log = logging.getLogger(__name__)

STOPPED = "releases.stopped"
#: Seconds between two checks of a working child, between two questions while nothing is taken, and
#: until an answer.
_CHILD = 2.0
_ASKED = 5.0
_ANSWERED = 30.0


class Fitting:
    """The services of a process whose program can work with the database as it is now."""

    def __init__(self, services: Callable[[], Services]) -> None:
        self._services = services
        self._look_at = 0.0
        self._unfit = ""

    def __call__(self) -> Services:
        """Raises OtherRelease if the program cannot work with the database."""
        services = self._services()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _CHILD
            try:
                self._unfit = services.standing().unfit
            except AppError:
                log.debug("the database was not looked at")
        if self._unfit:
            raise OtherRelease(self._unfit)
        return services

    def standing(self) -> Standing:
        """Checks again. Raises if the database does not answer."""
        return self._services().standing()


class TakingStep(bootsteps.StartStopStep):
    """Stops and starts taking messages. The main process never asks the database itself: its event
    loop must not wait, and a thread that asks while a child is forked leaves that child with locks
    that nobody opens (seen: a child hung until its hard limit). A child that cannot work reports
    it; while nothing is taken, a child is asked now and then."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        super().__init__(consumer)
        self._consumer = consumer
        self._entry = None
        self._put_down: list[str] = []
        self._asked = 0.0
        self.unfit = ""
        consumer.app.taking = self

    def start(self, consumer: Any) -> None:
        """Called again after each lost connection; a consumer that was stopped stays stopped."""
        self._entry = consumer.timer.call_repeatedly(_ASKED, self._ask)

    def stop(self, consumer: Any) -> None:
        if self._entry is not None:
            consumer.timer.cancel(self._entry)

    def end(self, why: str) -> None:
        """A child reported that it cannot work with the database, and ``why``."""
        if self.unfit:
            return
        self.unfit = why
        self._put_down = list(self._consumer.app.amqp.queues.consume_from)
        for queue in self._put_down:
            self._consumer.cancel_task_queue(queue)
        log.error("this worker takes no messages: %s", why)
        _tell(self._consumer.app, self._consumer.hostname, why)

    def _begin(self) -> None:
        self.unfit = ""
        queues = self._put_down
        self._put_down = []
        for queue in queues:
            self._consumer.add_task_queue(queue)
        log.warning("this worker takes messages again: the database fits")

    def _ask(self) -> None:
        """A missing answer, from a child that died, is waited for no longer than a check may
        last."""
        now = time.monotonic()
        if not self.unfit or now - self._asked < _ANSWERED:
            return
        self._asked = now
        pool = self._consumer.pool
        free = self._consumer.controller.semaphore
        if not isinstance(pool, TaskPool):
            self._hear(ask())
        elif free is None:
            self._submit(pool)
        else:
            free.acquire(self._submit, pool)

    def _submit(self, pool: Any) -> None:
        pool.apply_async(
            ask, callback=self._hear, error_callback=lambda _: self._hear(None), timeout=_ANSWERED
        )

    def _hear(self, unfit: str | None) -> None:
        self._asked = 0.0
        if unfit == "" and self.unfit:
            self._begin()


#: That of this process, for ``ask``.
_fitting: list[Fitting] = []


def ask() -> str | None:
    """In a child: why this program cannot work with the database, or ``""`` if it can; None if the
    database does not answer, because a new child does not know the last result."""
    try:
        return _fitting[-1].standing().unfit
    except OtherRelease as error:
        return str(error)
    except (AppError, SQLAlchemyError):
        return None


def _tell(app: App, worker: str, why: str) -> None:
    """A worker that can work with the database sends the alert."""
    given = {"worker": worker, "why": why}
    try:
        app.send_task(
            STOPPED, kwargs=given, queue="rouse", headers={AGAIN: True}, ignore_result=True
        )
    except BROKER_AWAY as error:
        log.warning(
            "the alert that this worker takes nothing was not sent: %s", type(error).__name__
        )


def install(app: App, services: Callable[[], Services]) -> Fitting:
    fitting = Fitting(services)
    _fitting.append(fitting)
    app.standing = fitting.standing
    app.steps["consumer"].add(TakingStep)
    app.task(
        _build_stopped_task(fitting),
        name=STOPPED,
        ignore_result=True,
        send_events=False,
        shared=False,
    )
    return fitting


@inspect_command(name="release")
def release(state: Any, **_: Any) -> Mapping[str, str]:
    """Returns what a worker's program knows, and why it takes no messages, for ``rollouts
    doctor``."""
    return {"head": migrations.HEAD, "oldest": migrations.OLDEST, "stopped": state.app.taking.unfit}


def _build_stopped_task(services: Callable[[], Services]) -> Callable[[str, str], None]:
    def tell(worker: str, why: str) -> None:
        opened = services()
        with opened.sessions.begin() as session:
            outbox.record_alert(session, opened.clock.now(session), _alert(worker, why))

    return tell


def _alert(worker: str, why: str) -> Alert:
    return Alert(
        worker,
        "worker.stopped",
        f"worker {worker} takes no messages: {why}",
        next="update that worker, or bring the database up to date: docs/upgrading.md",
    )
