"""Shadow searches: a share of the searches that blue answered is also sent to green in the
background, and the two answers are compared.

They do not delay the request: there is a separate thread and a short queue, and what does not fit
into it is left out.
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
from qdrant_rollouts.core.routing.request import Ask, Request, build_query, build_search
from qdrant_rollouts.core.routing.route import CANARY, Route
from qdrant_rollouts.core.routing.target import Target
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.services import Services

_QUEUE_SIZE = 64
_GREEN_SECONDS = 10.0
#: A shorter duration only measures the clock.
_LEAST_SECONDS = 1e-5


@dataclass(frozen=True, slots=True)
class _ShadowJob:
    route: Route
    request: Request
    green: Target
    seen: Sequence[Hit]
    seconds: float
    group: int


class Shadow:
    def __init__(self, services: Services, recorder: Recorder) -> None:
        self._services = services
        self._recorder = recorder
        self._jobs: queue.Queue[_ShadowJob | None] = queue.Queue(_QUEUE_SIZE)
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(
        self,
        route: Route,
        request: Request,
        green: Target,
        seen: Sequence[Hit],
        seconds: float,
        group: int,
    ) -> None:
        """Sends green the same search soon. ``seen`` is what blue answered, in ``seconds``."""
        try:
            self._jobs.put_nowait(_ShadowJob(route, request, green, seen, seconds, group))
        except queue.Full:
            return
        with self._guard:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run_jobs, name="shadow", daemon=True)
                self._thread.start()

    def close(self) -> None:
        with self._guard:
            thread = self._thread
            self._thread = None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._compare_answers(job)

    def _compare_answers(self, job: _ShadowJob) -> None:
        key = TrafficKey(job.route.alias, job.route.stage, CANARY, "shadow", job.green.collection)
        started = time.perf_counter()
        try:
            found = self._ask_green(job)
        except AppError:
            self._recorder.add(key, job.group, time.perf_counter() - started, error=True)
            return
        seconds = time.perf_counter() - started
        self._recorder.add(key, job.group, seconds, results=len(found))
        ratio = math.log(max(seconds, _LEAST_SECONDS) / max(job.seconds, _LEAST_SECONDS))
        self._recorder.add_pair(key, measure_overlap(job.seen, found), ratio)

    def _ask_green(self, job: _ShadowJob) -> list[Hit]:
        ask = Ask(job.green.collection, job.green, _GREEN_SECONDS)
        asked, using = build_query(self._services, job.request, job.green)
        limit, how = build_search(job.request, ask, using)
        return self._services.store.search(ask.collection, asked, limit, how)


def measure_overlap(ours: Sequence[Hit], theirs: Sequence[Hit]) -> float:
    """Returns the share of the longer list's points that are in both, 0 to 1; 1 for two empty
    lists."""
    if not ours and not theirs:
        return 1.0
    return len({hit.id for hit in ours} & {hit.id for hit in theirs}) / max(len(ours), len(theirs))
