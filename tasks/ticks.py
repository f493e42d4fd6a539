"""Asks for periodic tasks, from beat and from each worker.

Rule: seconds are counted, and no clock is read. Of all processes that ask, one sends in each
interval, and none while a message for the same task waits: queues without workers do not grow. If
nobody takes a message for a while, a worker of other queues does its work, so that a worker that is
left alone continues with what it can do.
"""

import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from celery import Celery, beat

from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY
from qdrant_rollouts.adapters.redis_broker import AT_THE_FRONT
from qdrant_rollouts.adapters.waiting import Queues, make_id

log = logging.getLogger(__name__)

#: Share of an interval; a process that asks earlier is a second one.
_WHOLE = 0.9
#: Seconds for which one look at the queue serves for everything that is due.
_FRESH = 0.1
#: Seconds until a broker that does not answer is tried again.
_AGAIN = 1.0
#: Seconds for which a message is found in its queue until a worker of other queues does what it
#: asks for.
_LEFT = 5.0


class Ticks:
    """The next task of one process, and its time. ``taken`` returns the queues from which it takes
    messages now."""

    def __init__(self, app: Celery, taken: Callable[[], Collection[str]] = tuple) -> None:
        self._app = app
        self._taken = taken
        self._queues = Queues(app, _FRESH)
        #: By what is asked for: since when its message was found waiting.
        self._left: dict[str, float] = {}
        self._due = dict.fromkeys(app.conf.beat_schedule, time.monotonic())
        self._away = False

    def send_due(self) -> float:
        """Sends what is due; returns the seconds until the next one."""
        try:
            for name, entry in self._app.conf.beat_schedule.items():
                if self._due[name] <= time.monotonic():
                    self._send(entry)
                    self._stand_in(entry)
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
            self._app.send_task(
                task, task_id=make_id(thing), ignore_result=True, **entry["options"]
            )
            self._queues.note_sent(queue, thing)

    def _stand_in(self, entry: dict[str, Any]) -> None:
        """Before all that waits in a queue of this worker, and there too at most once."""
        thing = f"tick-{entry['task']}"
        options = entry["options"]
        taken = self._taken()
        if not taken or options["queue"] in taken or self._queues.lacks(options["queue"], thing):
            self._left.pop(thing, None)
            return
        own = min(taken)
        if time.monotonic() - self._left.setdefault(thing, time.monotonic()) < _LEFT:
            return
        if self._queues.lacks(own, thing) and self._queues.is_first(
            f"{thing}-{own}", entry["schedule"] * _WHOLE
        ):
            headers = {**options.get("headers", {}), **AT_THE_FRONT}
            instead = {**options, "queue": own, "headers": headers}
            self._app.send_task(
                entry["task"], task_id=make_id(thing), ignore_result=True, **instead
            )
            self._queues.note_sent(own, thing)


class Scheduler(beat.Scheduler):
    """Beat's scheduler, without a file: Celery's own compares stored times with its clock, and
    stops for as long as the clock is set back."""

    def setup_schedule(self) -> None:
        self._ticks = Ticks(self.app)

    def tick(self, *_: Any, **__: Any) -> float:
        return min(self._ticks.send_due(), float(self.max_interval))
