"""The ledger in the database.

Rule: a row is written under the shared lock of its alias, and a state is changed under the
exclusive one. So whoever changes a state sees every row that was begun before, and nobody begins
one by the old state. The same holds for the lock of all writers and what they confirm. No lock is
held while Qdrant is asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.database.journal_rows import (
    EntryStatus,
    Gate,
    JournalRow,
    Phase,
    WriterRow,
    WriteStateRow,
)
from qdrant_rollouts.core.database.leases import free
from qdrant_rollouts.core.errors import Broken
from qdrant_rollouts.core.journal import states
from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.ledger import Entry, Fence, Lag, Opened, Selection
from qdrant_rollouts.core.journal.locks import lock_alone, lock_shared
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import Clock, PointId
from qdrant_rollouts.core.services import Services

#: The name of the lock of all writers; no alias is empty.
_WRITERS = ""
_UNRETIRED = JournalRow.retired_at.is_(None)


class SqlLedger:
    """Raises Unavailable if the database does not answer."""

    def __init__(
        self, sessions: sessionmaker[Session], clock: Clock, bounds: Bounds = BOUNDS
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._bounds = bounds

    # --- writers ----------------------------------------------------------------------------------

    def renew_lease(self, process: str, confirmed: Mapping[str, int]) -> dict[str, WriteState]:
        with self._transaction() as session:
            lock_shared(session, _WRITERS)
            until = self._clock.now(session) + timedelta(seconds=self._bounds.lease)
            session.merge(WriterRow(process=process, lease_until=until, confirmed=dict(confirmed)))
            rows = session.scalars(select(WriteStateRow))
            return {row.alias: _state_of_row(row) for row in rows}

    def withdraw_writer(self, process: str) -> None:
        with self._transaction() as session:
            session.execute(delete(WriterRow).where(WriterRow.process == process))

    def open_entry(self, alias: str, ids: Sequence[PointId]) -> Opened:
        with self._transaction() as session:
            lock_shared(session, alias)
            state = _read_state(session, alias)
            now = self._clock.now(session)
            if state is None or not state.journals or not state.admits_writes(now, self._bounds):
                return Opened(state)
            return Opened(state, _insert_entry(session, state, ids, now))

    def settle_entry(self, alias: str, entry: Entry, ids: Sequence[PointId]) -> bool:
        with self._transaction() as session:
            lock_shared(session, alias)
            now = self._clock.now(session)
            if _end_entry(session, entry, EntryStatus.DONE, now):
                return True
            self._insert_ended(session, alias, ids, now)
            return False

    def mark_unknown(self, entry: Entry) -> None:
        with self._transaction() as session:
            _end_entry(session, entry, EntryStatus.UNKNOWN, self._clock.now(session))

    def add_entry(self, alias: str, ids: Sequence[PointId]) -> None:
        with self._transaction() as session:
            lock_shared(session, alias)
            self._insert_ended(session, alias, ids, self._clock.now(session))

    # --- the rebuild ------------------------------------------------------------------------------

    def read_state(self, alias: str) -> WriteState | None:
        with self._transaction() as session:
            return _read_state(session, alias)

    def announce_rebuild(self, alias: str, leader: str, follower: str, fence: Fence) -> WriteState:
        with self._transaction() as session:
            fence(session)
            lock_alone(session, alias)
            # Every process that renews after this transaction learns of the rebuild.
            lock_alone(session, _WRITERS)
            found = _read_state(session, alias)
            state = states.announce_rebuild(found, alias, leader, follower)
            _write_state(session, state, self._clock.now(session))
            return state

    def begin_capture(self, alias: str, fence: Fence) -> list[str]:
        with self._change_alone(alias, fence) as (session, state, now):
            if state.phase is not Phase.ANNOUNCED:
                return []
            if late := self._list_unconfirmed(session, state, now):
                return late
            mine = JournalRow.alias == alias
            done = JournalRow.status == EntryStatus.DONE
            session.execute(delete(JournalRow).where(mine, or_(done, ~_UNRETIRED)))
            session.execute(update(JournalRow).where(mine).values(carried=True))
            last = session.scalar(select(func.max(JournalRow.seq))) or 0
            _write_state(session, states.begin_capture(state, last), now)
            return []

    def select_entries(self, alias: str, fence: Fence) -> Selection:
        with self._change_alone(alias, fence) as (session, found, now):
            state = states.begin_round(found, now, self._bounds)
            if state is not found:
                _write_state(session, state, now)
            if quiet := state.quiet_for(now, self._bounds):
                return Selection(state, quiet=quiet)
            self._sweep_abandoned(session, alias, now)
            query = select(JournalRow.seq, JournalRow.point_ids).where(
                JournalRow.alias == alias, _UNRETIRED, self._is_readable(now)
            )
            rows = session.execute(
                query.order_by(JournalRow.seq).limit(self._bounds.most_entries)
            ).all()
            distinct = dict.fromkeys(one for row in rows for one in row.point_ids)
            return Selection(state, tuple(row.seq for row in rows), tuple(distinct))

    def begin_sending(self, alias: str, fence: Fence) -> None:
        self._change_state(alias, fence, states.begin_sending)

    def end_sending(self, alias: str, fence: Fence) -> None:
        self._change_state(alias, fence, lambda state, now: states.end_sending(state))

    def hold_off(self, alias: str, fence: Fence) -> None:
        self._change_state(
            alias, fence, lambda state, now: states.hold_off(state, now, self._bounds)
        )

    def retire_entries(self, alias: str, entries: Sequence[Entry], fence: Fence) -> None:
        with self._transaction() as session:
            fence(session)
            now = self._clock.now(session)
            session.execute(
                update(JournalRow).where(JournalRow.seq.in_(entries)).values(retired_at=now)
            )

    def measure_lag(self, alias: str) -> Lag:
        with self._transaction() as session:
            state = _read_state(session, alias)
            if state is None:
                raise Broken(f"{alias} has no journal")
            now = self._clock.now(session)
            waits = and_(JournalRow.status == EntryStatus.UNKNOWN, ~self._is_readable(now))
            pending = JournalRow.status == EntryStatus.PENDING
            counts = select(
                func.count(), func.count().filter(pending), func.count().filter(waits)
            ).where(JournalRow.alias == alias, _UNRETIRED)
            left, under_way, unknown = session.execute(counts).one()
            return Lag(state, left, under_way, unknown, state.quiet_for(now, self._bounds))

    def close_gate(self, alias: str, fence: Fence) -> None:
        with self._change_alone(alias, fence) as (session, state, now):
            if state.phase is Phase.FOLLOWING:
                _take_up_unknown(session, state)
            _write_state(session, states.close_gate(state, now, self._bounds), now)

    def reopen_gate(self, alias: str, fence: Fence) -> None:
        self._change_state(alias, fence, lambda state, now: states.reopen_gate(state))

    def decide_switch(self, alias: str, fence: Fence) -> str:
        with self._change_alone(alias, fence) as (session, state, now):
            left = select(func.count()).where(JournalRow.alias == alias, _UNRETIRED)
            count = session.scalar(left) or 0
            why_not = states.why_not_decided(state, now, self._bounds, count)
            if not why_not:
                _write_state(session, states.decide_switch(state), now)
            return why_not

    def finish_switch(self, alias: str, leader: str, fence: Fence) -> WriteState:
        with self._change_alone(alias, fence) as (session, state, now):
            finished = states.finish_switch(state, leader)
            _write_state(session, finished, now)
            return finished

    def end_rebuild(self, alias: str, fence: Fence) -> None:
        with self._change_alone(alias, fence) as (session, state, now):
            _write_state(session, states.end_rebuild(state), now)
            under_way = JournalRow.status == EntryStatus.PENDING
            session.execute(delete(JournalRow).where(JournalRow.alias == alias, ~under_way))

    # --- within a transaction ---------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        try:
            with self._sessions.begin() as session:
                yield session
        except SQLAlchemyError as error:
            raise explain_error(error) from error

    @contextmanager
    def _change_alone(
        self, alias: str, fence: Fence
    ) -> Iterator[tuple[Session, WriteState, datetime]]:
        """Keeps everybody else from the alias until the transaction ends."""
        with self._transaction() as session:
            fence(session)
            lock_alone(session, alias)
            state = _read_state(session, alias)
            if state is None:
                raise Broken(f"{alias} has no journal")
            yield session, state, self._clock.now(session)

    def _change_state(
        self, alias: str, fence: Fence, change: Callable[[WriteState, datetime], WriteState]
    ) -> None:
        with self._change_alone(alias, fence) as (session, state, now):
            _write_state(session, change(state, now), now)

    def _list_unconfirmed(self, session: Session, state: WriteState, now: datetime) -> list[str]:
        """Also forgets writers whose lease has run out."""
        longest = timedelta(seconds=self._bounds.lease)
        session.execute(delete(WriterRow).where(free(WriterRow.lease_until, now, longest)))
        return [
            writer.process
            for writer in session.scalars(select(WriterRow).order_by(WriterRow.process))
            if writer.confirmed.get(state.alias, 0) < state.version
        ]

    def _sweep_abandoned(self, session: Session, alias: str, now: datetime) -> None:
        """As ``states.is_abandoned``."""
        longest = timedelta(seconds=self._bounds.send_within + self._bounds.answer)
        session.execute(
            update(JournalRow)
            .where(
                JournalRow.alias == alias,
                JournalRow.status == EntryStatus.PENDING,
                JournalRow.created_at < now - longest,
            )
            .values(status=EntryStatus.UNKNOWN, ended_at=now)
        )

    def _is_readable(self, now: datetime) -> ColumnElement[bool]:
        """As ``states.is_readable``."""
        long_ago = now - timedelta(seconds=self._bounds.quarantine)
        return or_(
            JournalRow.status == EntryStatus.DONE,
            and_(JournalRow.status == EntryStatus.UNKNOWN, JournalRow.ended_at < long_ago),
        )

    def _insert_ended(
        self, session: Session, alias: str, ids: Sequence[PointId], now: datetime
    ) -> None:
        state = _read_state(session, alias)
        if state is not None and state.journals:
            entry = _insert_entry(session, state, ids, now)
            _end_entry(session, entry, EntryStatus.DONE, now)


def open_ledger(services: Services, bounds: Bounds = BOUNDS) -> SqlLedger:
    return SqlLedger(services.sessions, services.clock, bounds)


def _state_of_row(row: WriteStateRow) -> WriteState:
    values = {field.name: getattr(row, field.name) for field in fields(WriteState)}
    return WriteState(**{**values, "phase": Phase(row.phase), "gate": Gate(row.gate)})


def _read_state(session: Session, alias: str) -> WriteState | None:
    row = session.get(WriteStateRow, alias, populate_existing=True)
    return None if row is None else _state_of_row(row)


def _write_state(session: Session, state: WriteState, now: datetime) -> None:
    session.merge(WriteStateRow(**asdict(state), changed_at=now))


def _insert_entry(
    session: Session, state: WriteState, ids: Sequence[PointId], now: datetime
) -> Entry:
    row = insert(JournalRow).values(
        alias=state.alias,
        epoch=state.epoch,
        point_ids=list(ids),
        status=EntryStatus.PENDING,
        carried=False,
        created_at=now,
    )
    return session.scalars(row.returning(JournalRow.seq)).one()


def _end_entry(session: Session, entry: Entry, status: EntryStatus, now: datetime) -> bool:
    """Returns whether the write was still under way."""
    ended = (
        update(JournalRow)
        .where(JournalRow.seq == entry, JournalRow.status == EntryStatus.PENDING)
        .values(status=status, ended_at=now)
    )
    return session.scalar(ended.returning(JournalRow.seq)) is not None


def _take_up_unknown(session: Session, state: WriteState) -> None:
    """Writes of earlier epochs without an answer are read once more."""
    session.execute(
        update(JournalRow)
        .where(
            JournalRow.alias == state.alias,
            JournalRow.epoch < state.epoch,
            JournalRow.status == EntryStatus.UNKNOWN,
        )
        .values(retired_at=None, carried=True)
    )
