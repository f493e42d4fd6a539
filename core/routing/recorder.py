"""Adds up in memory what searches experienced, and writes it in the background.

A search only increments a few counters. A batch that could not be written is tried again as the
same batch, so it is counted once. Newer observations meanwhile go into the next batch, whose size
does not depend on the traffic.
"""

import logging
import threading

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.routing.batch import Batch
from qdrant_rollouts.core.routing.control_plane import ControlPlane, LeftOut
from qdrant_rollouts.core.routing.exposures import Person, ServedList, UserSearches
from qdrant_rollouts.core.routing.traffic import TrafficKey

log = logging.getLogger(__name__)

#: The maximum number of users, and of interleaved lists, in one batch; while the control plane is
#: away, the rest is left out and counted.
_MOST_PEOPLE = 50_000


class Recorder:
    def __init__(self, control: ControlPlane, process: str) -> None:
        self._control = control
        self._process = process
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._open = Batch()
        self._closed: Batch | None = None
        self._sequence = 0
        #: Observations of users, and interleaved lists, that were left out, because too many
        #: waited or because they were refused.
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Searches that were observed but not written yet."""
        with self._guard:
            return sum(
                tally.calls
                for batch in (self._open, self._closed)
                if batch
                for tally in batch.tallies.values()
            )

    def add(
        self,
        key: TrafficKey,
        group: int,
        seconds: float,
        *,
        error: bool = False,
        results: int = 1,
        fallback: bool = False,
        anonymous: bool = False,
        embedding: float = 0.0,
    ) -> None:
        with self._guard:
            tally = self._open.tallies[key]
            tally.add(
                group,
                seconds,
                error=error,
                results=results,
                fallback=fallback,
                anonymous=anonymous,
                embedding=embedding,
            )

    def add_pair(self, key: TrafficKey, overlap: float, log_ratio: float) -> None:
        with self._guard:
            self._open.tallies[key].add_pair(overlap, log_ratio)

    def add_person(self, person: Person, seen: UserSearches) -> None:
        """Adds one search by a user of an experiment."""
        with self._guard:
            people = self._open.people
            before = people.get(person)
            if before is not None:
                before.merge(seen)
            elif len(people) < _MOST_PEOPLE:
                people[person] = seen
            else:
                self.dropped += 1

    def add_list(self, person: Person, query_id: str, served: ServedList) -> None:
        """Adds what an interleaved list was made of."""
        with self._guard:
            if len(self._open.lists) < _MOST_PEOPLE:
                self._open.lists.setdefault((person, query_id), served)
            else:
                self.dropped += 1

    def flush(self) -> None:
        """Writes what is not written yet. Raises NotReached and AppError; nothing is lost then."""
        with self._writing:
            if self._closed is not None:
                self._write_batch(self._closed)
            with self._guard:
                batch = self._open
                self._open = Batch()
            if batch.tallies or batch.people or batch.lists:
                self._sequence += 1
                self._closed = batch
                self._write_batch(batch)

    def _write_batch(self, batch: Batch) -> None:
        """What is refused would be refused again, and is left out."""
        try:
            left = self._control.write_batch(self._process, self._sequence, batch)
        except Refused as error:
            left = LeftOut(len(batch.people) + len(batch.lists), str(error))
        if left is not None:
            self.dropped += left.users
            log.warning("%s: observations are left out: %s", self._process, left.why)
        self._closed = None
