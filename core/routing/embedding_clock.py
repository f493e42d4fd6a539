"""How long the texts of a search were embedded. That is no latency of a collection: it is measured
apart, in the process that searches."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """``seconds`` of the collection, and those in which texts were embedded."""

    seconds: float
    embedding: float = 0.0

    @property
    def waited(self) -> float:
        """What the user has waited for."""
        return self.seconds + self.embedding

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds + other.seconds, self.embedding + other.embedding)


class EmbeddingClock:
    """Measures one search. Texts that are embedded at the same time count once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running = 0
        self._since = 0.0
        self._spent = 0.0

    @contextmanager
    def run(self) -> Iterator[None]:
        with self._guard:
            if not self._running:
                self._since = time.perf_counter()
            self._running += 1
        try:
            yield
        finally:
            with self._guard:
                self._running -= 1
                if not self._running:
                    self._spent += time.perf_counter() - self._since

    @property
    def seconds(self) -> float:
        """So far: a text may still be embedded by a call that nobody waits for any more."""
        with self._guard:
            if self._running:
                return self._spent + time.perf_counter() - self._since
            return self._spent

    def split(self, elapsed: float) -> Spent:
        """Returns which part of the seconds that a search took was the collection's."""
        embedding = min(self.seconds, elapsed)
        return Spent(elapsed - embedding, embedding)
