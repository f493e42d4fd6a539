"""What a worker's main process reports about itself, even while every child is busy; and what beat
reports. See ``core.deployments.workers``."""

import atexit
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.worker import state

from qdrant_rollouts.adapters.presence import Presence, Process
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import due_slices
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.workers import Said, Task

_TURNS = frozenset(f"deployments.{name}" for name in (*STEPS, due_slices.FILL))
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)


def install(app: Celery, settings: Settings, wall: Callable[[], float] = time.time) -> None:
    """``wall`` is for tests whose machine has one clock."""
    url = settings.database_url.get_secret_value()
    _tell_of_workers(app, url, wall)

    def beat(**_: Any) -> None:
        _begin(Presence(url, Process(f"beat@{socket.gethostname()}", "beat").describe, wall))

    signals.beat_init.connect(beat, weak=False)


def _tell_of_workers(app: Celery, url: str, wall: Callable[[], float]) -> None:
    counts = Counts()
    counts.connect()
    stopping = threading.Event()

    def start(sender: Any, **_: Any) -> None:
        _begin(Presence(url, Consuming(sender, counts, stopping).describe, wall))

    def ask_to_stop(**_: Any) -> None:
        stopping.set()

    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutting_down.connect(ask_to_stop, weak=False)


def _begin(presence: Presence) -> None:
    """Celery sends no signal at the end of a shutdown that is not warm."""
    presence.start()
    atexit.register(presence.stop)


class Counts:
    """Messages as the main process receives them. Celery discards messages that are too old or
    unknown before it counts them as received."""

    def __init__(self) -> None:
        self.taken = self.discarded = 0

    def connect(self) -> None:
        signals.task_received.connect(self._take, weak=False)
        signals.task_revoked.connect(self._revoke, weak=False)
        signals.task_unknown.connect(self._discard, weak=False)
        signals.task_rejected.connect(self._discard, weak=False)

    def _take(self, **_: Any) -> None:
        self.taken += 1

    def _revoke(self, terminated: bool = False, **_: Any) -> None:
        """Also sent for tasks that were ended while they ran."""
        if not terminated:
            self.discarded += 1

    def _discard(self, **_: Any) -> None:
        self.discarded += 1


class Consuming:
    """A Celery worker, read from a thread beside it; ``consumer`` is its Consumer."""

    def __init__(self, consumer: Any, counts: Counts, stopping: threading.Event) -> None:
        self._consumer = consumer
        self._counts = counts
        self._stopping = stopping
        self._process = Process(str(consumer.hostname), "worker")
        self._idle_from: float | None = None
        self._met: dict[str, float] = {}

    def describe(self) -> Said:
        busy = self._at_work()
        now = time.monotonic()
        concurrency = self._children()
        if len(busy) >= concurrency:
            self._idle_from = None
        elif self._idle_from is None:
            self._idle_from = now
        return self._process.describe(
            queues=self._queues(),
            concurrency=concurrency,
            busy=busy,
            idle=None if self._idle_from is None else now - self._idle_from,
            received=self._counts.taken + self._counts.discarded,
            discarded=self._counts.discarded,
        )

    def _queues(self) -> tuple[str, ...]:
        """None after it was told to end: then nothing is taken."""
        if self._stopping.is_set():
            return ()
        return list_queues(self._consumer)

    def _at_work(self) -> tuple[Task, ...]:
        """Returns only names, and for a turn the deployment's id, because other arguments may be
        private. The duration is counted here, because Celery uses a clock that may jump."""
        now = time.monotonic()
        active = _active()
        self._met = {request.id: self._met.get(request.id, now) for request in active}
        return tuple(
            Task(str(request.name), _deployment(request), now - self._met[request.id])
            for request in active
        )

    def _children(self) -> int:
        return int(
            getattr(self._consumer.pool, "num_processes", None)
            or self._consumer.controller.concurrency
            or 1
        )


def list_queues(consumer: Any) -> tuple[str, ...]:
    """What a Celery worker takes messages of now; nothing while the broker is away."""
    consuming = consumer.task_consumer
    if consuming is None:
        return ()
    return tuple(queue.name for queue in list(consuming.queues))


def _active() -> list[Any]:
    """The main thread changes the set while this one reads it."""
    while True:
        try:
            return list(state.active_requests)
        except RuntimeError:
            continue


def _deployment(request: Any) -> str | None:
    given = request.args
    if request.name not in _TURNS or not isinstance(given, list | tuple) or not given:
        return None
    if isinstance(given[0], str) and _ID.fullmatch(given[0]):
        return given[0]
    return None
