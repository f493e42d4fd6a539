"""``python -m tests.acceptance.crowd FOLDER RATE ALIAS...``: a search process of an application.

It searches the aliases in turn, for some of a few thousand users, RATE times a second, until it is
told to end, and records the result of each search in FOLDER.
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

from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.routing import Router
from qdrant_rollouts.wiring import open_router
from tests.own_time import record_stalls

USERS = 3000
_THREADS = 4


@dataclass(frozen=True)
class Search:
    """``began`` and ``at``: the wall clock at the request and at the answer. ``results`` is None if
    it failed."""

    began: float
    at: float
    process: int
    alias: str
    user: int
    collection: str = ""
    variant: str = ""
    fallback: bool = False
    results: int | None = None
    error: str = ""


def searches(folder: Path) -> Iterator[Search]:
    """Returns what all processes have recorded so far, without a line that is still being
    written."""
    for file in sorted(folder.glob("*.crowd")):
        lines = file.read_text().split("\n")[:-1]
        yield from (Search(**json.loads(line)) for line in lines)


class Crowd:
    def __init__(self, router: Router, folder: Path, rate: float, aliases: list[str]) -> None:
        self._router = router
        self._pause = _THREADS / rate
        self._aliases = aliases
        self._journal = (folder / f"{os.getpid()}.crowd").open("a", buffering=1)
        self._stopped = threading.Event()

    def go(self) -> None:
        threads = [threading.Thread(target=self._search, args=(seed,)) for seed in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._journal.close()

    def end(self, *_: object) -> None:
        self._stopped.set()

    def _search(self, seed: int) -> None:
        rng = random.Random(f"{os.getpid()}-{seed}")
        due = time.monotonic()
        for alias in cycle(self._aliases):
            due = max(due + self._pause, time.monotonic() - self._pause)
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return
            self._enter(self._one(alias, rng))

    def _one(self, alias: str, rng: random.Random) -> Search:
        user = rng.randrange(USERS)
        asked: dict[str, Any] = {
            "began": time.time(),
            "process": os.getpid(),
            "alias": alias,
            "user": user,
        }
        try:
            answer = self._router.search(
                alias, f"text {rng.randrange(300)} asyncio", f"user-{user}", limit=5
            )
        except AppError as error:
            return Search(**asked, at=time.time(), error=str(error))
        found = {
            "collection": answer.collection,
            "variant": answer.variant,
            "fallback": answer.fallback,
        }
        return Search(**asked, at=time.time(), **found, results=len(answer.results))

    def _enter(self, search: Search) -> None:
        self._journal.write(json.dumps(asdict(search)) + "\n")


def main(folder: str, rate: str, *aliases: str) -> None:
    with open_router() as router:
        crowd = Crowd(router, Path(folder), float(rate), list(aliases))
        signal.signal(signal.SIGTERM, crowd.end)
        record_stalls(Path(folder))
        crowd.go()


if __name__ == "__main__":
    main(*sys.argv[1:])
