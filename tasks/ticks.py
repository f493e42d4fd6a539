"""Asks for periodic tasks, from beat and from each worker.

Rule: seconds are counted, and no clock is read. Of all processes that ask, one sends in each
interval, and none while a message for the same task waits: queues without workers do not grow.
"""

import logging
import time
from typing import Any

from celery import Celery, beat

from qdrant_rollouts.adapters.celery import BROKER_AWAY
from qdrant_rollouts.adapters.waiting import Queues, make_id

log = logging.getLogger(__name__)

#: Share of an interval; a process that asks earlier is a second one.
_WHOLE = 0.9
#: Seconds for which one look at the queue serves for everything that is due.
_FRESH = 0.1
#: Seconds until a broker that does not answer is tried again.
_AGAIN = 1.0


class Ticks:
    """Of one process: the next task, and its time."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._queues = Queues(app, _FRESH)
        self._due = dict.fromkeys(app.conf.beat_schedule, time.monotonic())
        self._away = False

    def send_due(self) -> float:
        """Sends what is due; returns the seconds until the next one."""
        try:
            for name, entry in self._app.conf.beat_schedule.items():
                if self._due[name] <= time.monotonic():
                    self._send(entry)
                    self._due[name] = time.monotonic() + entry["schedule"]
        except BROKER_AWAY as error:
            if not self._away:
                log.warning("nothing is sent until the broker answers: %s", type(error).__name__)
            self._away = True
            return _AGAIN
        self._away = False
        return max(0.0, min(self._due.values()) - time.monotonic())

    def _send(self, entry: dict[str, Any]) -> None:
        task = entry["task"]
        queue = entry["options"]["queue"]
        thing = f"tick-{task}"
        first = self._queues.is_first(thing, entry["schedule"] * _WHOLE)
        if first and self._queues.lacks(queue, thing):
            self._app.send_task(task, task_id=make_id(thing), ignore_result=True, **entry["options"])
            self._queues.note_sent(queue, thing)


class Scheduler(beat.Scheduler):
    """Beat's scheduler, without a file: Celery's own compares stored times with its clock, and
    stops for as long as the clock is set back."""

    def setup_schedule(self) -> None:
        self._ticks = Ticks(self.app)

    def tick(self, *_: Any, **__: Any) -> float:
        return min(self._ticks.send_due(), float(self.max_interval))
