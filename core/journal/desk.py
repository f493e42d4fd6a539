"""What a process that writes points knows: the state of each alias, for as long as its lease lasts.

Rule: a write without a row begins only under a lease, and is acknowledged only if the lease lasted
until its answer. A process confirms a phase only when no write without a row is under way. So when
every process has confirmed that a rebuild is announced, or has lost its lease, no write is missed.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.ledger import WriterLedger
from qdrant_rollouts.core.journal.states import WriteState


@dataclass(frozen=True, slots=True)
class Passage:
    """A write without a row that is under way. ``tenure``: the uninterrupted lease under which it
    began. ``version``: that of the alias's phase."""

    alias: str
    tenure: int
    version: int


class WriterDesk:
    """One for each process. ``clock`` counts seconds."""

    def __init__(
        self,
        ledger: WriterLedger,
        process: str,
        bounds: Bounds = BOUNDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ledger = ledger
        self.process = process
        self.bounds = bounds
        self.clock = clock
        self._states: dict[str, WriteState] = {}
        self._deadline = -1.0
        self._tenure = 0
        self._under_way: Counter[str] = Counter()
        #: By alias, until when a write without a usable answer may still arrive.
        self._may_arrive: dict[str, float] = {}
        self._guard = threading.Lock()
        self._renewing = threading.Lock()

    def admit_write(self, alias: str) -> Passage | WriteState | None:
        """Returns the passage of a write that needs no row, the state of an alias whose writes need
        one, or None if the lease has run out: then ``renew`` first."""
        with self._guard:
            if self.clock() >= self._deadline:
                return None
            state = self._states.get(alias)
            if state is not None and state.journals:
                return state
            self._under_way[alias] += 1
            return Passage(alias, self._tenure, state.version if state else 0)

    def end_write(self, passage: Passage, *, ended: bool) -> bool:
        """The write has its answer, or will get none. Returns whether the lease has lasted."""
        with self._guard:
            self._under_way[passage.alias] -= 1
            now = self.clock()
            if not ended:
                self._may_arrive[passage.alias] = now + self.bounds.quarantine
            return passage.tenure == self._tenure and now < self._deadline

    def is_unchanged(self, passage: Passage) -> bool:
        """Returns whether no rebuild was announced since the write began, as far as the last
        renewal knows."""
        with self._guard:
            state = self._states.get(passage.alias)
            return (state.version if state else 0) == passage.version

    def manages_alias(self, alias: str) -> bool:
        """Returns whether the alias was ever rebuilt with the journal. Raises Unavailable if the
        database must be asked and does not answer."""
        if self.clock() >= self._deadline:
            self.renew_lease()
        with self._guard:
            return alias in self._states

    def renew_lease(self) -> None:
        """Extends the lease and reads the states again."""
        with self._renewing:
            asked = self.clock()
            states = self.ledger.renew_lease(self.process, self._list_confirmed())
            with self._guard:
                if self.clock() >= self._deadline:
                    self._tenure += 1
                self._states = states
                self._deadline = asked + self.bounds.lease

    def _list_confirmed(self) -> dict[str, int]:
        """Returns the versions by which every write of this process goes."""
        with self._guard:
            now = self.clock()
            return {
                alias: state.version
                for alias, state in self._states.items()
                if state.journals
                and not self._under_way[alias]
                and self._may_arrive.get(alias, 0.0) <= now
            }
