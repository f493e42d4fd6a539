"""Plans that are asked for over HTTP and by agents.

Rule: each plan reads a source and may pay a provider, so a process makes few at once. Whoever asks
for one more is told to try again, and nothing waits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from qdrant_rollouts.core.errors import AppError

#: Plans that a process makes at once, of different indexes.
MOST = 2


class TooBusy(AppError):
    """Too many requests at once; try again."""


class PlanPlaces:
    """The places for plans: one for each alias, ``most`` in all."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._planned: set[str] = set()

    @contextmanager
    def take_place(self, alias: str) -> Iterator[None]:
        """Takes a place while a plan of ``alias`` is made. Raises TooBusy if none is free."""
        with self._lock:
            if alias in self._planned:
                raise TooBusy(f"a plan of {alias} is being made; try again when it is done")
            if len(self._planned) >= self._most:
                raise TooBusy(
                    f"{self._most} plans are being made, as many as may be; try again later"
                )
            self._planned.add(alias)
        try:
            yield
        finally:
            with self._lock:
                self._planned.discard(alias)


#: Those of this process, whoever asks.
PLACES = PlanPlaces()
