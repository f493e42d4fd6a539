"""A second driver of the sweep: each worker's main process also asks for it, so sweeps continue if
beat is dead, and does it if no other worker takes it."""

import threading
from functools import partial
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from qdrant_rollouts.tasks.roster import list_queues
from qdrant_rollouts.tasks.ticks import Ticks


def install_pulse(app: Celery) -> None:
    stopped = threading.Event()

    def beat(consumer: Any) -> None:
        ticks = Ticks(app, partial(list_queues, consumer))
        while not stopped.wait(ticks.send_due()):
            pass

    def start(sender: Any, **_: Any) -> None:
        threading.Thread(target=beat, args=(sender,), name="pulse", daemon=True).start()

    def stop(**_: Any) -> None:
        stopped.set()

    worker_ready.connect(start, weak=False)
    worker_shutting_down.connect(stop, weak=False)
