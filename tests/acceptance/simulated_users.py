"""``python -m tests.acceptance.simulated_users FOLDER RATE QUERIES BROKER EXPERIMENT...``: a search
process of an application with **simulated** users. No real person's behaviour is in its figures.

A simulated user comes with the title of a document, searches through ``route_query`` and clicks the
document if it is among the answers; the lower it is, the rarer is the click. Sometimes the user
clicks another answer. Clicks are reported as applications do it: in turn by ``track_feedback`` and
by the task of that name, and again with the same key if the database or the broker did not answer.
The result of every search is recorded in FOLDER.
"""

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from qdrant_rollouts.core.errors import AppError, Unavailable
from qdrant_rollouts.core.routing import Router
from qdrant_rollouts.wiring import open_router
from tests.own_time import record_stalls

_THREADS = 2
#: The share of searches by new users, and the share of clicks on other answers.
_NEW = 0.6
_ASTRAY = 0.1
_LIMIT = 5


@dataclass(frozen=True)
class Search:
    """``began`` and ``at``: the wall clock at the request and at the answer."""

    began: float
    at: float
    process: int
    experiment: str
    user: str
    variant: str = ""
    clicked: bool = False
    error: str = ""


def searches(folder: Path) -> Iterator[Search]:
    """Returns what all processes have recorded so far, without a line that is still being
    written."""
    for file in sorted(folder.glob("*.simulated")):
        yield from (Search(**json.loads(line)) for line in file.read_text().split("\n")[:-1])


@dataclass(frozen=True)
class Click:
    experiment: str
    variant: str
    user: str
    key: str
    by_task: bool


class Simulation:
    def __init__(
        self, router: Router, broker: str, folder: Path, rate: float, queries: list[str]
    ) -> None:
        self._router = router
        self._pause = _THREADS / rate
        self._queries = queries
        self._app = Celery("application", broker=broker, set_as_current=False)
        self._journal = (folder / f"{os.getpid()}.simulated").open("a", buffering=1)
        self._stopped = threading.Event()

    def go(self, experiments: list[str]) -> None:
        threads = [
            threading.Thread(target=self._live, args=(seed, experiments))
            for seed in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._journal.close()
        self._app.close()

    def end(self, *_: object) -> None:
        self._stopped.set()

    def _live(self, seed: int, experiments: list[str]) -> None:
        name = f"simulated-{os.getpid()}-{seed}"
        rng = random.Random(name)
        due = time.monotonic()
        came = 0
        waiting = list[Click]()
        for experiment in cycle(experiments):
            due = max(due + self._pause, time.monotonic() - self._pause)
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return
            came += rng.random() < _NEW
            search = self._search(experiment, f"{name}-{max(0, came - rng.randrange(5))}", rng)
            self._journal.write(json.dumps(asdict(search)) + "\n")
            if search.clicked:
                key = f"{name}-{time.monotonic_ns()}"
                waiting.append(
                    Click(experiment, search.variant, search.user, key, by_task=rng.random() < 0.5)
                )
            waiting = [click for click in waiting if not self._reported(click)]

    def _search(self, experiment: str, user: str, rng: random.Random) -> Search:
        query = rng.choice(self._queries)
        began = time.time()
        known: dict[str, Any] = {
            "began": began,
            "process": os.getpid(),
            "experiment": experiment,
            "user": user,
        }
        try:
            variant, results = self._router.route_query(experiment, query, user, limit=_LIMIT)
        except AppError as error:
            return Search(**known, at=time.time(), error=str(error))
        titles = [hit.payload.get("title") for hit in results]
        likely = 0.9 / (1 + titles.index(query)) if query in titles else _ASTRAY
        return Search(**known, at=time.time(), variant=variant, clicked=rng.random() < likely)

    def _reported(self, click: Click) -> bool:
        """Returns whether the report needs no second try."""
        try:
            if click.by_task:
                self._send(click)
            else:
                self._router.track_feedback(
                    click.experiment, click.variant, "clicks", 1.0, click.user, key=click.key
                )
        except (Unavailable, OperationalError):
            return False
        except AppError:
            return True
        return True

    def _send(self, click: Click) -> None:
        said = {
            "experiment_id": click.experiment,
            "variant": click.variant,
            "metric": "clicks",
            "value": 1.0,
        }
        told = {**said, "user_id": click.user, "key": click.key}
        self._app.send_task("experiments.track_feedback", kwargs=told, queue="control", retry=False)


def main(folder: str, rate: str, queries: str, broker: str, *experiments: str) -> None:
    with open_router() as router:
        titles = json.loads(Path(queries).read_text(encoding="utf-8"))
        simulation = Simulation(router, broker, Path(folder), float(rate), titles)
        signal.signal(signal.SIGTERM, simulation.end)
        record_stalls(Path(folder))
        simulation.go(list(experiments))


if __name__ == "__main__":
    main(*sys.argv[1:])
