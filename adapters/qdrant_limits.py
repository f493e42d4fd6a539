"""The limits of collections as the server reports them, and how much of a rate our own reads have
used."""

import time
from collections.abc import Callable
from threading import Event, Lock
from typing import TypeVar

from qdrant_rollouts.adapters.qdrant_http import CALL, Rest
from qdrant_rollouts.core.errors import Limited, Refused
from qdrant_rollouts.core.ports import Limits

Answer = TypeVar("Answer")

#: Seconds for which limits are cached. A refusal in this time makes them be read again.
_FRESH_SECONDS = 5.0
#: Seconds that ``pace`` waits by itself; and how much unused time may be made up for at once.
_PATIENCE = 5.0
_SAVED_SECONDS = 10.0


class KnownLimits:
    """Thread-safe."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._known: dict[str, tuple[float, Limits]] = {}
        self._free_at: dict[str, float] = {}
        self._lock = Lock()
        self._never = Event()

    def of(self, collection: str, seconds: float = CALL) -> Limits:
        known = self._known.get(collection)
        if known is None or time.monotonic() >= known[0]:
            return self.look(collection, seconds)
        return known[1]

    def look(self, collection: str, seconds: float = CALL) -> Limits:
        info = self._rest.call("GET", "collections", collection, seconds=seconds)
        found = Limits.of(info["config"].get("strict_mode_config"))
        self._known[collection] = time.monotonic() + _FRESH_SECONDS, found
        return found

    def forget(self, collection: str) -> None:
        self._known.pop(collection, None)

    def within(
        self, collection: str, act: Callable[[Limits], Answer], seconds: float = CALL
    ) -> Answer:
        """Runs ``act`` with the known limits; runs it again if it was refused because they have
        changed. ``seconds`` are for reading them."""
        limits = self.of(collection, seconds)
        try:
            return act(limits)
        except Refused:
            found = self.look(collection, seconds)
            if found == limits:
                raise
            return act(found)

    def note(self, collection: str, reads: int) -> None:
        """Counts reads that are about to be made."""
        rate = self.of(collection).reads_per_second
        if rate is None:
            return
        with self._lock:
            begin = max(self._free_at.get(collection, 0.0), time.monotonic() - _SAVED_SECONDS)
            self._free_at[collection] = begin + reads / rate

    def pace(self, collection: str) -> None:
        limits = self.of(collection)
        if limits.read_rate_limit is None:
            return
        wait = self._free_at.get(collection, 0.0) - time.monotonic()
        if wait > _PATIENCE:
            raise Limited(
                f"{self._rest}: strict mode of {collection} allows {limits.read_rate_limit} reads "
                "a minute "
                f"(read_rate_limit), half of them are left to applications; going on in {wait:.0f} "
                "s",
                wait,
            )
        if wait > 0:
            self._never.wait(wait)
