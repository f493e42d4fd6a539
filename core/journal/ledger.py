"""Where the states, the writers and the journal are kept. Each method is one transaction.

``SqlLedger`` keeps them in the database. The model check has one in memory, with the same contract
suite.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.orm import Session

from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import PointId

#: Raises LeaseLost if the turn of the caller was taken over; see ``Turn.fence``.
Fence = Callable[[Session], None]
#: A write's row.
Entry = int


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to a writer. Without ``entry`` the write may not begin: writes are closed, or the
    alias's ``state`` is another than the writer knew."""

    state: WriteState | None
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """What a round has to do. ``entries`` can be retired once their ``ids``, which are distinct,
    were read again and written. ``rest``: the only entry has more ids, which are left for the next
    round. ``quiet``: seconds for which nothing may be written to the follower."""

    state: WriteState
    entries: tuple[Entry, ...] = ()
    ids: tuple[PointId, ...] = ()
    rest: tuple[PointId, ...] = ()
    quiet: float = 0.0


@dataclass(frozen=True, slots=True)
class Lag:
    """Writes that have not reached the follower, and how many ``points`` they have. ``pending``:
    they are under way. ``unknown``: they had no answer and may still arrive, the last one for
    ``unknown_for`` seconds. ``quiet`` as in ``Selection``."""

    state: WriteState
    left: int
    points: int
    pending: int
    unknown: int
    unknown_for: float
    quiet: float


def take_piece(
    state: WriteState, entries: Iterable[tuple[Entry, Sequence[PointId], bool]], size: int
) -> Selection:
    """Selects entries from the first on, until they have ``size`` ids. So a round ends within a
    turn, whatever is left. An entry that alone has more is done in several rounds, if its third
    value says that it may be shortened."""
    chosen: list[Entry] = []
    ids: dict[PointId, None] = {}
    for entry, points, divisible in entries:
        if len(ids) >= size:
            break
        if not chosen and divisible and len(points) > size:
            return Selection(state, (entry,), tuple(points[:size]), rest=tuple(points[size:]))
        chosen.append(entry)
        ids |= dict.fromkeys(points)
    return Selection(state, tuple(chosen), tuple(ids))


class WriterLedger(Protocol):
    """What a process that writes points needs."""

    def renew_lease(self, process: str, confirmed: Mapping[str, int]) -> dict[str, WriteState]:
        """Extends the process's lease, stores what it confirms, and returns the state of each alias
        that was ever rebuilt with the journal."""

    def withdraw_writer(self, process: str) -> None:
        """The process writes nothing any more."""

    def open_entry(self, known: WriteState, ids: Sequence[PointId]) -> Opened:
        """Writes the row of a write that begins, unless writes are closed, or the alias's phase has
        changed from what the writer knows."""

    def settle_entry(self, alias: str, entry: Entry, ids: Sequence[PointId]) -> bool:
        """The write has ended. Returns whether it may be acknowledged. If it is counted as lost
        already, the write gets a new row in the current epoch."""

    def mark_unknown(self, entry: Entry) -> None:
        """The write has no usable answer, so it may still arrive."""

    def add_entry(self, alias: str, ids: Sequence[PointId]) -> None:
        """Writes the row of a write that ended without having one."""


class Ledger(WriterLedger, Protocol):
    """What whoever rebuilds needs besides. Methods with a ``fence`` raise LeaseLost if the caller's
    turn was taken over."""

    def read_state(self, alias: str) -> WriteState | None: ...

    def announce_rebuild(
        self, alias: str, leader: str, follower: str, fence: Fence
    ) -> WriteState: ...

    def begin_capture(self, alias: str, fence: Fence) -> list[str]:
        """Begins the capture if every writer has confirmed the phase or lost its lease. Returns the
        processes that have not confirmed. Writes that are under way are carried over."""

    def select_entries(self, alias: str, fence: Fence) -> Selection:
        """Returns what the next round has to do. If the last round did not end, nothing is written
        for the quarantine."""

    def begin_backfill(self, alias: str, fence: Fence) -> None:
        """As ``begin_sending``, for writes that may be repeated. If earlier ones did not end, no
        round writes for the quarantine."""

    def begin_sending(self, alias: str, fence: Fence) -> None:
        """A round writes to the follower. Raises LeaseLost if another one has not ended, or if
        nothing may be written now."""

    def end_sending(self, alias: str, fence: Fence) -> None: ...

    def hold_off(self, alias: str, fence: Fence) -> None:
        """A write to the follower may still arrive, so nothing is written for the quarantine."""

    def retire_entries(self, alias: str, entries: Sequence[Entry], fence: Fence) -> None:
        """Retires exactly these entries: their points were written to the follower."""

    def shorten_entry(
        self, alias: str, entry: Entry, rest: Sequence[PointId], fence: Fence
    ) -> None:
        """Retires all points of the entry but ``rest``."""

    def measure_lag(self, alias: str) -> Lag: ...

    def close_gate(self, alias: str, fence: Fence) -> None:
        """Closes writes. In the fence of a rollback, writes of earlier epochs that ended unknown
        are read once more."""

    def reopen_gate(self, alias: str, fence: Fence) -> None: ...

    def decide_switch(self, alias: str, fence: Fence) -> str:
        """Decides the switch if nothing is left to do. Returns why not, or nothing."""

    def finish_switch(self, alias: str, leader: str, fence: Fence) -> WriteState:
        """From now on ``leader`` takes the writes. It can be repeated."""

    def end_rebuild(self, alias: str, fence: Fence) -> None: ...
