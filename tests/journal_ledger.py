"""The journal's ledger in memory, for the model check. ``tests/contract/test_journal_ledger.py``
holds it and the one in the database to the same rules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from qdrant_rollouts.core.database.journal_rows import EntryStatus, Phase
from qdrant_rollouts.core.database.leases import lasts
from qdrant_rollouts.core.journal import states
from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.ledger import (
    Entry,
    Fence,
    Lag,
    Opened,
    Selection,
    take_piece,
)
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import PointId

START = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)


@dataclass
class JournalEntry:
    seq: int
    alias: str
    epoch: int
    ids: tuple[PointId, ...]
    created_at: datetime
    status: EntryStatus = EntryStatus.PENDING
    ended_at: datetime | None = None
    retired: bool = False
    carried: bool = False


@dataclass
class MemoryLedger:
    """``clock`` counts seconds since ``START``."""

    clock: Callable[[], float]
    bounds: Bounds = BOUNDS
    states: dict[str, WriteState] = field(default_factory=dict)
    entries: dict[int, JournalEntry] = field(default_factory=dict)
    writers: dict[str, tuple[datetime, dict[str, int]]] = field(default_factory=dict)
    last: int = 0

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.clock())

    # --- writers ----------------------------------------------------------------------------------

    def renew_lease(self, process: str, confirmed: Mapping[str, int]) -> dict[str, WriteState]:
        self.writers[process] = (
            self.now + timedelta(seconds=self.bounds.lease),
            dict(confirmed),
        )
        return dict(self.states)

    def withdraw_writer(self, process: str) -> None:
        self.writers.pop(process, None)

    def open_entry(self, known: WriteState, ids: Sequence[PointId]) -> Opened:
        state = self.states.get(known.alias)
        if (
            state is None
            or not state.journals
            or state.version != known.version
            or not state.admits_writes(self.now)
        ):
            return Opened(state)
        return Opened(state, self.insert_entry(state, ids))

    def settle_entry(self, alias: str, entry: Entry, ids: Sequence[PointId]) -> bool:
        if self.end_entry(entry, EntryStatus.DONE):
            return True
        self.add_entry(alias, ids)
        return False

    def mark_unknown(self, entry: Entry) -> None:
        self.end_entry(entry, EntryStatus.UNKNOWN)

    def add_entry(self, alias: str, ids: Sequence[PointId]) -> None:
        state = self.states.get(alias)
        if state is not None and state.journals:
            self.end_entry(self.insert_entry(state, ids), EntryStatus.DONE)

    # --- the rebuild ------------------------------------------------------------------------------

    def read_state(self, alias: str) -> WriteState | None:
        return self.states.get(alias)

    def announce_rebuild(self, alias: str, leader: str, follower: str, fence: Fence) -> WriteState:
        fence(None)  # type: ignore[arg-type]  # there is no session
        found = self.states.get(alias)
        self.states[alias] = states.announce_rebuild(found, alias, leader, follower)
        return self.states[alias]

    def begin_capture(self, alias: str, fence: Fence) -> list[str]:
        fence(None)  # type: ignore[arg-type]
        state = self.states[alias]
        if state.phase is not Phase.ANNOUNCED:
            return []
        if late := self.list_unconfirmed(state):
            return late
        self.carry_entries(alias)
        self.states[alias] = states.begin_capture(state, self.last)
        return []

    def select_entries(self, alias: str, fence: Fence) -> Selection:
        fence(None)  # type: ignore[arg-type]
        self.states[alias] = states.begin_round(self.states[alias], self.now, self.bounds)
        state = self.states[alias]
        if quiet := state.quiet_for(self.now, self.bounds):
            return Selection(state, quiet=quiet)
        for entry in self.entries.values():
            if states.is_abandoned(entry.status, entry.created_at, self.now, self.bounds):
                self.end_entry(entry.seq, EntryStatus.UNKNOWN)
        ready = [entry for entry in self.list_left(alias) if self.is_readable(entry)]
        entries = [(entry.seq, entry.ids, entry.status is EntryStatus.DONE) for entry in ready]
        return take_piece(state, entries, self.bounds.piece)

    def begin_backfill(self, alias: str, fence: Fence) -> None:
        fence(None)  # type: ignore[arg-type]
        self.states[alias] = states.begin_backfill(self.states[alias], self.now, self.bounds)

    def begin_sending(self, alias: str, fence: Fence) -> None:
        fence(None)  # type: ignore[arg-type]
        self.states[alias] = states.begin_sending(self.states[alias], self.now, self.bounds)

    def end_sending(self, alias: str, fence: Fence) -> None:
        fence(None)  # type: ignore[arg-type]
        self.states[alias] = states.end_sending(self.states[alias])

    def hold_off(self, alias: str, fence: Fence) -> None:
        fence(None)  # type: ignore[arg-type]
        self.states[alias] = states.hold_off(self.states[alias], self.now, self.bounds)

    def retire_entries(self, alias: str, entries: Sequence[Entry], fence: Fence) -> None:
        fence(None)  # type: ignore[arg-type]
        for seq in entries:
            if seq in self.entries:
                self.entries[seq].retired = True

    def shorten_entry(
        self, alias: str, entry: Entry, rest: Sequence[PointId], fence: Fence
    ) -> None:
        fence(None)  # type: ignore[arg-type]
        self.entries[entry].ids = tuple(rest)

    def measure_lag(self, alias: str) -> Lag:
        state = self.states[alias]
        left = self.list_left(alias)
        pending = sum(entry.status is EntryStatus.PENDING for entry in left)
        unknown = [
            entry.ended_at
            for entry in left
            if entry.status is EntryStatus.UNKNOWN and not self.is_readable(entry)
        ]
        last = max((one for one in unknown if one is not None), default=None)
        unknown_for = states.arrives_for(last, self.now, self.bounds)
        quiet = state.quiet_for(self.now, self.bounds)
        points = sum(len(entry.ids) for entry in left)
        return Lag(state, len(left), points, pending, len(unknown), unknown_for, quiet)

    def close_gate(self, alias: str, fence: Fence) -> None:
        fence(None)  # type: ignore[arg-type]
        state = self.states[alias]
        if state.phase is Phase.FOLLOWING:
            self.take_up_unknown(state)
        self.states[alias] = states.close_gate(state, self.now, self.bounds)

    def reopen_gate(self, alias: str, fence: Fence) -> None:
        fence(None)  # type: ignore[arg-type]
        self.states[alias] = states.reopen_gate(self.states[alias])

    def decide_switch(self, alias: str, fence: Fence) -> str:
        fence(None)  # type: ignore[arg-type]
        state = self.states[alias]
        left = len(self.list_left(alias))
        why_not = states.why_not_decided(state, self.now, self.bounds, left)
        if not why_not:
            self.states[alias] = states.decide_switch(state)
        return why_not

    def finish_switch(self, alias: str, leader: str, fence: Fence) -> WriteState:
        fence(None)  # type: ignore[arg-type]
        self.states[alias] = states.finish_switch(self.states[alias], leader)
        return self.states[alias]

    def end_rebuild(self, alias: str, fence: Fence) -> None:
        fence(None)  # type: ignore[arg-type]
        self.states[alias] = states.end_rebuild(self.states[alias])
        self.entries = {
            seq: entry
            for seq, entry in self.entries.items()
            if entry.alias != alias or entry.status is EntryStatus.PENDING
        }

    # --- within a transaction ---------------------------------------------------------------------

    def list_unconfirmed(self, state: WriteState) -> list[str]:
        return sorted(
            process
            for process, (until, confirmed) in self.writers.items()
            if lasts(until, self.now, timedelta(seconds=self.bounds.lease))
            and confirmed.get(state.alias, 0) < state.version
        )

    def carry_entries(self, alias: str) -> None:
        """Of the writes before a capture only those that have not ended count."""
        for entry in list(self.entries.values()):
            if entry.alias == alias and (entry.retired or entry.status is EntryStatus.DONE):
                del self.entries[entry.seq]
            elif entry.alias == alias:
                entry.carried = True

    def take_up_unknown(self, state: WriteState) -> None:
        for entry in self.entries.values():
            if (
                entry.alias == state.alias
                and entry.epoch < state.epoch
                and entry.status is EntryStatus.UNKNOWN
            ):
                entry.retired = False
                entry.carried = True

    def insert_entry(self, state: WriteState, ids: Sequence[PointId]) -> Entry:
        self.last += 1
        entry = JournalEntry(self.last, state.alias, state.epoch, tuple(ids), self.now)
        self.entries[entry.seq] = entry
        return entry.seq

    def end_entry(self, seq: Entry, status: EntryStatus) -> bool:
        entry = self.entries.get(seq)
        if entry is None or entry.status is not EntryStatus.PENDING:
            return False
        entry.status = status
        entry.ended_at = self.now
        return True

    def is_readable(self, entry: JournalEntry) -> bool:
        return states.is_readable(entry.status, entry.ended_at, self.now, self.bounds)

    def list_left(self, alias: str) -> list[JournalEntry]:
        return [
            entry for entry in self.entries.values() if entry.alias == alias and not entry.retired
        ]
