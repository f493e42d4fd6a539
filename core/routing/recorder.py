"""What searches experienced, added up in memory and written down in the background.

A search only adds to a few counters. A batch that could not be written is tried again as the same batch, so that it is
counted once; meanwhile everything newer adds up in the next one, whose size does not depend on the traffic.
"""

import threading

from core import traffic
from core.services import Services
from core.tally import Tally
from core.traffic import Key


class Recorder:
    def __init__(self, services: Services, process: str) -> None:
        self._services, self._process = services, process
        self._guard, self._writing = threading.Lock(), threading.Lock()
        self._open: dict[Key, Tally] = {}
        self._closed: dict[Key, Tally] = {}
        self._sequence = 0

    def add(
        self,
        key: Key,
        group: int,
        seconds: float,
        *,
        error: bool = False,
        results: int = 1,
        fallback: bool = False,
        anonymous: bool = False,
    ) -> None:
        with self._guard:
            self._tally(key).add(group, seconds, error=error, results=results, fallback=fallback, anonymous=anonymous)

    def add_pair(self, key: Key, overlap: float, log_ratio: float) -> None:
        with self._guard:
            self._tally(key).add_pair(overlap, log_ratio)

    def flush(self) -> None:
        """Writes what was not written yet. Raises SQLAlchemyError; nothing is lost then."""
        with self._writing:
            if self._closed:
                self._write()
            with self._guard:
                self._closed, self._open = self._open, {}
            if self._closed:
                self._sequence += 1
                self._write()

    def _write(self) -> None:
        traffic.write(self._services.sessions, self._services.clock, self._process, self._sequence, self._closed)
        self._closed = {}

    def _tally(self, key: Key) -> Tally:
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = Tally()
        return found
