"""The people who use the index while it is rebuilt: threads that search by alias and record the
results."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle, islice
from types import TracebackType
from typing import Self

from rich.text import Text

from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.ports import FloatArray, PointStore

THREADS = 4
#: Seconds between two searches of one thread. The embedded store serves one caller at a time, and
#: the process that fills the new version needs time too.
_PAUSE = 0.05
_LIMIT = 5


class Crowd:
    """Searches for the duration of its ``with`` block; at the end it raises the errors of failed
    searches."""

    def __init__(self, store: PointStore, alias: str, vectors: Sequence[FloatArray]) -> None:
        self.answered: Counter[int] = Counter()
        self.failed = self.empty = 0
        self.last_error = ""
        self._store = store
        self._alias = alias
        self._vectors = vectors
        self._stopped = threading.Event()
        self._counting = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
        self._searching: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._searching = [
            self._pool.submit(self._search_until_stopped, number) for number in range(THREADS)
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._pool.shutdown()
        for one in self._searching:
            one.result()

    @property
    def served(self) -> int:
        return self.answered.total()

    def words(self) -> str:
        with self._counting:
            by = ", ".join(
                f"version {number}: {count:,}" for number, count in sorted(self.answered.items())
            )
            sentence = (
                f"{self.served:,} answered ({by or 'none yet'}), {self.failed} failed, "
                f"{self.empty} empty"
            )
            return sentence + (f"; the last failure: {self.last_error}" if self.failed else "")

    def line(self) -> Text:
        return Text(
            f"searches: {self.words()}", style="red" if self.failed or self.empty else "green"
        )

    def _search_until_stopped(self, first: int) -> None:
        for vector in islice(cycle(self._vectors), first, None):
            self._search_once(vector)
            if self._stopped.wait(_PAUSE):
                return

    def _search_once(self, vector: FloatArray) -> None:
        try:
            hits = self._store.search(self._alias, vector, _LIMIT)
        except AppError as error:
            with self._counting:
                self.failed = self.failed + 1
                self.last_error = str(error)
            return
        with self._counting:
            if hits:
                self.answered[int(hits[0].payload["version"])] += 1
            else:
                self.empty += 1
