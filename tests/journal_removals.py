"""The rules of the journal's protocol, each taken away once. A model check that does not notice
that a rule is gone does not test it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.database.journal_rows import EntryStatus, Gate
from qdrant_rollouts.core.journal import states
from qdrant_rollouts.core.journal.desk import Passage, WriterDesk
from qdrant_rollouts.core.journal.ledger import Entry, Lag
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import PointId
from tests.journal_ledger import MemoryLedger
from tests.journal_model import BOUNDS, Later, Rules, Turn


class ForgetsWritesUnderWay(MemoryLedger):
    """Writes that have not ended when the capture begins are not carried over."""

    def carry_entries(self, alias: str) -> None:
        for entry in self.entries.values():
            entry.retired = True


class WritesRowsWithoutLock(MemoryLedger):
    """The state may change between the look at it and the row."""

    def open_entry(self, known: WriteState, ids: Sequence[PointId]) -> Any:
        opened = super().open_entry(known, ids)
        if opened.entry is None:
            return opened
        del self.entries[opened.entry]

        def insert() -> Any:
            return replace(opened, entry=self.insert_entry(known, ids))

        return Later(insert)


class LetsRoundsMeet(MemoryLedger):
    """Several rounds may write to the follower at the same time."""

    def select_entries(self, alias: str, fence: Any) -> Any:
        self.states[alias] = states.end_sending(self.states[alias])
        return super().select_entries(alias, fence)

    def begin_sending(self, alias: str, fence: Any) -> None:
        self.states[alias] = states.end_sending(self.states[alias])
        super().begin_sending(alias, fence)


class WaitsForNoLateWrite(MemoryLedger):
    """After a round that did not end the next one begins at once."""

    def select_entries(self, alias: str, fence: Any) -> Any:
        self.states[alias] = states.end_sending(self.states[alias])
        return super().select_entries(alias, fence)

    def hold_off(self, alias: str, fence: Any) -> None:
        self.end_sending(alias, fence)


class DecidesWithoutDraining(MemoryLedger):
    """Once writes are closed, the switch is decided whatever is left."""

    def measure_lag(self, alias: str) -> Lag:
        found = super().measure_lag(alias)
        return replace(found, left=0) if found.state.gate is Gate.CLOSED else found

    def decide_switch(self, alias: str, fence: Any) -> str:
        fence(None)
        state = self.states[alias]
        why_not = states.why_not_decided(state, self.now, self.bounds, 0)
        if not why_not:
            self.states[alias] = states.decide_switch(state)
        return why_not


class AcknowledgesLostWrites(MemoryLedger):
    """A write is acknowledged although it counts as lost already."""

    def settle_entry(self, alias: str, entry: Entry, ids: Sequence[PointId]) -> bool:
        self.end_entry(entry, EntryStatus.DONE)
        return True


class ReadsWritesUnderWay(MemoryLedger):
    """Writes are read and retired before they have ended."""

    def is_readable(self, entry: Any) -> bool:
        return True


class CapturesUnconfirmed(MemoryLedger):
    """The capture begins without asking the writers."""

    def list_unconfirmed(self, state: WriteState) -> list[str]:
        return []


class DecidesTooLate(MemoryLedger):
    """Writes that opened by themselves may be switched all the same, whatever came in."""

    def decide_switch(self, alias: str, fence: Any) -> str:
        fence(None)
        self.states[alias] = states.decide_switch(self.states[alias])
        return ""


class TurnOfAnybody(Turn):
    """Whoever's turn was taken over goes on."""

    def fence(self, session: object) -> None:
        pass


class NeverAsksAgain(WriterDesk):
    """A writer whose lease ran out sends without asking."""

    def admit_write(self, alias: str) -> Any:
        if self._deadline >= 0:
            self._deadline = float("inf")
        return super().admit_write(alias)


class AcknowledgesWithoutLease(WriterDesk):
    """A write without a row is acknowledged whether the lease lasted or not."""

    def end_write(self, passage: Passage, *, ended: bool) -> bool:
        super().end_write(passage, ended=ended)
        return True


class ConfirmsTooEarly(WriterDesk):
    """A phase is confirmed while writes without a row are under way."""

    def _list_confirmed(self) -> dict[str, int]:
        self._under_way.clear()
        return super()._list_confirmed()

    def end_write(self, passage: Passage, *, ended: bool) -> bool:
        self._under_way[passage.alias] += 1
        return super().end_write(passage, ended=ended)


REMOVALS: dict[str, Rules] = {
    "unfinished writes are carried into the capture": Rules(ForgetsWritesUnderWay),
    "rows are written under the lock of their alias": Rules(WritesRowsWithoutLock),
    "one round at a time": Rules(LetsRoundsMeet, at_once=2),
    "wait for what may still arrive": Rules(WaitsForNoLateWrite),
    "drain in the fence": Rules(DecidesWithoutDraining),
    "acknowledge only what is under way": Rules(AcknowledgesLostWrites),
    "read only what has ended": Rules(ReadsWritesUnderWay),
    "a quarantine longer than any pause": Rules(bounds=replace(BOUNDS, quarantine=1.0)),
    "every writer confirms": Rules(CapturesUnconfirmed),
    "confirm only without writes under way": Rules(desk=ConfirmsTooEarly),
    "ask when the lease ran out": Rules(desk=NeverAsksAgain),
    "acknowledge only under the lease": Rules(desk=AcknowledgesWithoutLease),
    "only the turn's owner": Rules(turn=TurnOfAnybody),
    "a fence has a budget": Rules(DecidesTooLate),
}
