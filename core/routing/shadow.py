"""Shadow searches: a share of what blue answered is also asked of green, unseen, and the two answers are compared.

Off the request's path: a thread of its own and a short queue; what does not fit into it is left out.
"""

import math
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.core.routing.recorder import Recorder
from qdrant_rollouts.core.routing.request import Ask, Request, arguments, question
from qdrant_rollouts.core.routing.route import CANARY, Route
from qdrant_rollouts.core.routing.sight import Target
from qdrant_rollouts.core.routing.traffic import Key
from qdrant_rollouts.core.services import Services

_WAITING = 64
_SECONDS = 10.0
#: Below this nothing is measured but the clock.
_LEAST = 1e-5


@dataclass(frozen=True, slots=True)
class _Job:
    route: Route
    request: Request
    green: Target
    seen: Sequence[Hit]
    seconds: float
    group: int


class Shadow:
    def __init__(self, services: Services, recorder: Recorder) -> None:
        self._services, self._recorder = services, recorder
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(
        self, route: Route, request: Request, green: Target, seen: Sequence[Hit], seconds: float, group: int
    ) -> None:
        """Has green asked the same some time soon. ``seen`` is what blue answered, in ``seconds``."""
        try:
            self._jobs.put_nowait(_Job(route, request, green, seen, seconds, group))
        except queue.Full:
            return
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
                self._thread.start()

    def close(self) -> None:
        with self._guard:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._compare(job)

    def _compare(self, job: _Job) -> None:
        key = Key(job.route.alias, job.route.stage, CANARY, "shadow", job.green.collection)
        started = time.perf_counter()
        try:
            found = self._ask(job)
        except AppError:
            self._recorder.add(key, job.group, time.perf_counter() - started, error=True)
            return
        seconds = time.perf_counter() - started
        self._recorder.add(key, job.group, seconds, results=len(found))
        ratio = math.log(max(seconds, _LEAST) / max(job.seconds, _LEAST))
        self._recorder.add_pair(key, overlap(job.seen, found), ratio)

    def _ask(self, job: _Job) -> list[Hit]:
        ask = Ask(job.green.collection, job.green, _SECONDS)
        asked, using = question(self._services, job.request, job.green)
        options = arguments(job.request, ask, using)
        return self._services.store.search(ask.collection, asked, **options)


def overlap(ours: Sequence[Hit], theirs: Sequence[Hit]) -> float:
    """The share of the longer list's points that are in both, 0 to 1; 1 for two empty ones."""
    if not ours and not theirs:
        return 1.0
    return len({hit.id for hit in ours} & {hit.id for hit in theirs}) / max(len(ours), len(theirs))
