"""Workers whose database is of a release that they cannot work on take no messages until it fits again.

Rule: a child looks before it begins, at most every two seconds, and again when a statement fails; what it was handed
goes back to the queue. The main process looks every five seconds and stops taking, so that nothing goes round. What
cannot be looked at, for the database does not answer, is as it was.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import bootsteps
from celery.worker.control import inspect_command

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.celery import AGAIN, BROKER_AWAY, App
from qdrant_rollouts.adapters.database import open_to_look
from qdrant_rollouts.adapters.releases import look
from qdrant_rollouts.core.alerts import outbox as alerts
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import AppError, OtherRelease
from qdrant_rollouts.core.services import Services, Standing

log = logging.getLogger(__name__)

STOPPED = "releases.stopped"
#: Seconds between two looks of a child that works, and of a main process.
_CHILD, _MAIN = 2.0, 5.0
#: Seconds a worker that starts waits for the first look.
_FIRST = 8.0


class Fitting:
    """The services of a process whose program can work on the database as it is now."""

    def __init__(self, services: Callable[[], Services]) -> None:
        self._services = services
        self._look_at, self._unfit = 0.0, ""

    def __call__(self) -> Services:
        """Raises OtherRelease where the program cannot work on the database."""
        house = self._services()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _CHILD
            try:
                self._unfit = house.standing().unfit
            except AppError:
                log.debug("the database was not looked at")
        if self._unfit:
            raise OtherRelease(self._unfit)
        return house

    def standing(self) -> Standing:
        """Looked at anew. Raises what the database's silence is."""
        return self._services().standing()


class Watch:
    """What the main process of a worker knows, from looks in a thread of its own: its event loop must not wait."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app, self._url = app, settings.database_url.get_secret_value()
        self._looked, self._told = threading.Event(), ""
        self.unfit = ""

    def start(self, worker: str) -> None:
        threading.Thread(target=self._watch, args=(worker,), name="fitting", daemon=True).start()
        self._looked.wait(_FIRST)

    def _watch(self, worker: str) -> None:
        never = threading.Event()
        while True:
            self._look()
            self._looked.set()
            self._tell(worker)
            never.wait(_MAIN)

    def _look(self) -> None:
        try:
            engine = open_to_look(self._url)
            try:
                self.unfit = look(engine).unfit
            finally:
                engine.dispose()
        except AppError as error:
            log.debug("the database was not looked at: %s", error)

    def _tell(self, worker: str) -> None:
        """Somebody who can work on the database says it to people."""
        if self.unfit and self.unfit != self._told:
            given = {"worker": worker, "why": self.unfit}
            try:
                self._app.send_task(STOPPED, kwargs=given, queue="rouse", headers={AGAIN: True}, ignore_result=True)
            except BROKER_AWAY as error:
                log.warning("that this worker takes nothing was not told: %s", type(error).__name__)
                return
        self._told = self.unfit


class TakingStep(bootsteps.StartStopStep):
    """Begins and ends the taking of messages, as the watch has it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    watch: Watch

    def __init__(self, consumer: Any, **_: Any) -> None:
        super().__init__(consumer)
        self._entry: Any = None
        self._put_down: list[str] = []
        self._watching = False

    def start(self, consumer: Any) -> None:
        """Again after each lost connection."""
        if not self._watching:
            self.watch.start(consumer.hostname)
        self._watching = True
        self._agree(consumer)
        self._entry = consumer.timer.call_repeatedly(1.0, self._agree, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self._entry is not None:
            consumer.timer.cancel(self._entry)

    def _agree(self, consumer: Any) -> None:
        if self.watch.unfit and not self._put_down:
            self._put_down = list(consumer.app.amqp.queues.consume_from)
            for queue in self._put_down:
                consumer.cancel_task_queue(queue)
            log.error("this worker takes no messages: %s", self.watch.unfit)
        elif self._put_down and not self.watch.unfit:
            queues, self._put_down = self._put_down, []
            for queue in queues:
                consumer.add_task_queue(queue)
            log.warning("this worker takes messages again: the database fits")


def install(app: App, settings: Settings, services: Callable[[], Services]) -> Fitting:
    fitting, watch = Fitting(services), Watch(app, settings)
    app.standing = fitting.standing
    app.steps["consumer"].add(type("TakingStep", (TakingStep,), {"watch": watch}))
    app.watch = watch
    app.task(_stopped(fitting), name=STOPPED, ignore_result=True, send_events=False, shared=False)
    return fitting


@inspect_command(name="release")
def release(state: Any, **_: Any) -> Mapping[str, str]:
    """What a worker's program knows, and why it takes no messages, for ``rollouts doctor``."""
    watch = getattr(state.app, "watch", None)
    return {"head": migrations.HEAD, "unfit": watch.unfit if watch else ""}


def _stopped(services: Callable[[], Services]) -> Callable[[str, str], None]:
    def tell(worker: str, why: str) -> None:
        house = services()
        with house.sessions.begin() as session:
            alerts.tell(session, house.clock.now(session), _alert(worker, why))

    return tell


def _alert(worker: str, why: str) -> Alert:
    return Alert(
        worker,
        "worker.stopped",
        f"worker {worker} takes no messages: {why}",
        next="update that worker, or bring the database up to date: docs/upgrading.md",
    )
