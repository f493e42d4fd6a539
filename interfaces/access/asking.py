"""Queries that are asked of two versions over HTTP and on the pages.

Rule: each of them embeds a text twice, and a model on this machine takes the processor. So a
process asks few at once; whoever asks for one more is told to try again, and nothing waits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from qdrant_rollouts.interfaces.access.planning import TooBusy

#: Queries that a process asks of two versions at once.
MOST = 4


class QuestionPlaces:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._free = BoundedSemaphore(most)

    @contextmanager
    def take_place(self) -> Iterator[None]:
        """Takes a place while a query is asked. Raises TooBusy if none is free."""
        if not self._free.acquire(blocking=False):
            raise TooBusy(
                f"{self._most} queries are being asked of two versions, as many as may be; try "
                "again in a moment"
            )
        try:
            yield
        finally:
            self._free.release()


#: Those of this process, whoever asks.
PLACES = QuestionPlaces()
