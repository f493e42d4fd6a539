"""A second driver of the sweep: each worker's main process also asks for it, so sweeps continue if
beat is dead."""

import threading
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from qdrant_rollouts.tasks.ticks import Ticks


def install_pulse(app: Celery) -> None:
    stopped = threading.Event()

    def beat() -> None:
        ticks = Ticks(app)
        while not stopped.wait(ticks.send_due()):
            pass

    def start(**_: Any) -> None:
        threading.Thread(target=beat, name="pulse", daemon=True).start()

    def stop(**_: Any) -> None:
        stopped.set()

    worker_ready.connect(start, weak=False)
    worker_shutting_down.connect(stop, weak=False)
