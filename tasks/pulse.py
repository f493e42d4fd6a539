"""A second driver of the sweep: each worker's main process asks for it too, so that a dead beat changes nothing."""

import logging
import threading
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from qdrant_rollouts.adapters.celery import AGAIN, BROKER_AWAY
from qdrant_rollouts.beat_schedule import SCHEDULE

log = logging.getLogger(__name__)

_EVERY = 15.0


def install(app: Celery) -> None:
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(_EVERY):
            for entry in SCHEDULE.values():
                _publish(app, entry)

    def start(**_: Any) -> None:
        threading.Thread(target=beat, name="pulse", daemon=True).start()

    def stop(**_: Any) -> None:
        stopped.set()

    worker_ready.connect(start, weak=False)
    worker_shutting_down.connect(stop, weak=False)


def _publish(app: Celery, entry: dict[str, Any]) -> None:
    try:
        app.send_task(entry["task"], ignore_result=True, headers={AGAIN: True}, **entry["options"])
    except BROKER_AWAY as error:
        log.warning("%s was not published: %s", entry["task"], type(error).__name__)
