"""Shadow searches: a share of the searches that blue answered is also sent to green in the
background, and the two answers are compared.

They do not delay the request: there is a separate thread and a short queue, and what does not fit
into it is left out.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qdrant_rollouts.core.ports import PointId
from qdrant_rollouts.core.routing.choice import Choice
from qdrant_rollouts.core.routing.embedding_clock import Spent
from qdrant_rollouts.core.routing.recorder import Recorder
from qdrant_rollouts.core.routing.route import CANARY
from qdrant_rollouts.core.routing.target import Target
from qdrant_rollouts.core.routing.traffic import TrafficKey

#: Searches that may wait for green in one process.
MOST_WAITING = 64
#: A shorter duration only measures the clock.
_LEAST_SECONDS = 1e-5


class Found(NamedTuple):
    """What a search has found. ``ids``: None if they are not known."""

    results: int
    ids: Sequence[PointId] | None


@dataclass(frozen=True, slots=True)
class ShadowSearch:
    """A search that blue has answered in ``seconds``, and of which ``green`` gets a copy. ``seen``
    are the ids of its results, None if they are not known. ``split`` tells green's seconds from
    those in which a text was embedded for it."""

    choice: Choice
    green: Target
    seen: Sequence[PointId] | None
    seconds: float
    split: Callable[[float], Spent]

    @property
    def key(self) -> TrafficKey:
        route = self.choice.route
        return TrafficKey(route.alias, route.stage, CANARY, "shadow", self.green.collection)


#: Makes the search in green. Raises what the search raises.
AskGreen = Callable[[], Found]


class Shadow:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._jobs: queue.Queue[tuple[ShadowSearch, AskGreen] | None] = queue.Queue(MOST_WAITING)
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def offer(self, search: ShadowSearch, ask_green: AskGreen) -> None:
        """Makes the same search in green soon."""
        try:
            self._jobs.put_nowait((search, ask_green))
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

    def note_answer(self, search: ShadowSearch, found: Found, elapsed: float) -> None:
        """Records what green has answered in so many seconds, and how it differs from blue's."""
        group = search.choice.group
        spent = search.split(elapsed)
        self._recorder.add(
            search.key, group, spent.seconds, results=found.results, embedding=spent.embedding
        )
        if search.seen is None or found.ids is None:
            return
        ratio = math.log(max(spent.seconds, _LEAST_SECONDS) / max(search.seconds, _LEAST_SECONDS))
        self._recorder.add_pair(search.key, measure_overlap(search.seen, found.ids), ratio)

    def note_failure(self, search: ShadowSearch, elapsed: float) -> None:
        spent = search.split(elapsed)
        self._recorder.add(
            search.key,
            search.choice.group,
            spent.seconds,
            error=True,
            embedding=spent.embedding,
        )

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._compare_answers(*job)

    def _compare_answers(self, search: ShadowSearch, ask_green: AskGreen) -> None:
        started = time.perf_counter()
        try:
            found = ask_green()
        except Exception:  # noqa: BLE001 - it may be the application's function
            self.note_failure(search, time.perf_counter() - started)
            return
        self.note_answer(search, found, time.perf_counter() - started)


def measure_overlap(ours: Sequence[PointId], theirs: Sequence[PointId]) -> float:
    """Returns the share of the longer list's points that are in both, 0 to 1; 1 for two empty
    lists."""
    if not ours and not theirs:
        return 1.0
    return len(set(ours) & set(theirs)) / max(len(ours), len(theirs))
