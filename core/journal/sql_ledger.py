"""The ledger in the database.

Rule: a journal row is written by a statement that shares the lock of its alias's state, and a
state is changed under its exclusive lock. So whoever changes a state sees every row that was begun
before, and nobody begins one by the old state. The same holds for the lock of all writers and what
they confirm. No lock is held while Qdrant is asked.

A write costs two statements. With PostgreSQL each is its own transaction, so it is one request.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
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
from qdrant_rollouts.core.database.leases import SLACK, free
from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.errors import Broken
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
from qdrant_rollouts.core.journal.locks import exclude_writers, share_writers
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import Clock, PointId
from qdrant_rollouts.core.services import Services

_UNRETIRED = JournalRow.retired_at.is_(None)
#: Rows that one statement deletes. More would take longer than the database allows.
_PRUNED_AT_ONCE = 5_000
_JOURNAL = Base.metadata.tables[JournalRow.__tablename__]
_STATES = Base.metadata.tables[WriteStateRow.__tablename__]


class SqlLedger:
    """Raises Unavailable if the database does not answer."""

    def __init__(
        self, sessions: sessionmaker[Session], clock: Clock, bounds: Bounds = BOUNDS
    ) -> None:
        self._sessions = sessions
        engine: Engine = sessions.kw["bind"]
        if engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._alone = engine
        self._clock = clock
        self._bounds = bounds

    # --- writers ----------------------------------------------------------------------------------

    def renew_lease(self, process: str, confirmed: Mapping[str, int]) -> dict[str, WriteState]:
        with self._transaction() as session:
            share_writers(session)
            until = self._clock.now(session) + timedelta(seconds=self._bounds.lease)
            session.merge(WriterRow(process=process, lease_until=until, confirmed=dict(confirmed)))
            rows = session.scalars(select(WriteStateRow))
            return {row.alias: _state_of_row(row) for row in rows}

    def withdraw_writer(self, process: str) -> None:
        with self._transaction() as session:
            session.execute(delete(WriterRow).where(WriterRow.process == process))

    def open_entry(self, known: WriteState, ids: Sequence[PointId]) -> Opened:
        with self._statement() as connection:
            entry = self._insert_open(connection, known, ids, _STATES.c.gate == Gate.OPEN)
        if entry is not None:
            return Opened(known, entry)
        with self._transaction() as session:
            # Writers that wait keep nobody from the lock.
            state = _read_state(session, known.alias)
            if state is None or not state.admits_writes(self._clock.now(session)):
                return Opened(state)
            state = _share_state(session, known.alias)
            if state is None or not state.admits_writes(self._clock.now(session)):
                return Opened(state)
            connection = session.connection()
            return Opened(state, self._insert_open(connection, known, ids, true()))

    def settle_entry(self, alias: str, entry: Entry, ids: Sequence[PointId]) -> bool:
        if self._end_entry(entry, EntryStatus.DONE):
            return True
        self.add_entry(alias, ids)
        return False

    def mark_unknown(self, entry: Entry) -> None:
        self._end_entry(entry, EntryStatus.UNKNOWN)

    def add_entry(self, alias: str, ids: Sequence[PointId]) -> None:
        with self._transaction() as session:
            state = _share_state(session, alias)
            if state is None or not state.journals:
                return
            now = self._clock.now(session)
            values = {"status": EntryStatus.DONE, "created_at": now, "ended_at": now}
            session.execute(insert(JournalRow).values(**_entry_of(state, ids), **values))

    # --- the rebuild ------------------------------------------------------------------------------

    def read_state(self, alias: str) -> WriteState | None:
        with self._transaction() as session:
            return _read_state(session, alias)

    def announce_rebuild(self, alias: str, leader: str, follower: str, fence: Fence) -> WriteState:
        with self._transaction() as session:
            fence(session)
            # Every process that renews after this transaction learns of the rebuild.
            exclude_writers(session)
            found = _lock_state(session, alias)
            state = states.announce_rebuild(found, alias, leader, follower)
            _write_state(session, state, self._clock.now(session))
            return state

    def begin_capture(self, alias: str, fence: Fence) -> list[str]:
        while self.prune_entries(alias):
            pass  # so that little is left to do while nobody else may write
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
            query = select(JournalRow.seq, JournalRow.point_ids, JournalRow.status).where(
                JournalRow.alias == alias, _UNRETIRED, self._is_readable(now)
            )
            # Each row has at least one id.
            rows = session.execute(query.order_by(JournalRow.seq).limit(self._bounds.piece))
            entries = [(row.seq, row.point_ids, row.status == EntryStatus.DONE) for row in rows]
            return take_piece(state, entries, self._bounds.piece)

    def begin_backfill(self, alias: str, fence: Fence) -> None:
        self._change_state(
            alias, fence, lambda state, now: states.begin_backfill(state, now, self._bounds)
        )

    def begin_sending(self, alias: str, fence: Fence) -> None:
        self._change_state(
            alias, fence, lambda state, now: states.begin_sending(state, now, self._bounds)
        )

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
            mine = JournalRow.seq.in_(entries)
            session.execute(delete(JournalRow).where(mine, JournalRow.status == EntryStatus.DONE))
            # A write without an answer is read once more before a rollback.
            session.execute(update(JournalRow).where(mine).values(retired_at=now))

    def shorten_entry(
        self, alias: str, entry: Entry, rest: Sequence[PointId], fence: Fence
    ) -> None:
        mine = update(JournalRow).where(JournalRow.alias == alias, JournalRow.seq == entry)
        with self._transaction() as session:
            fence(session)
            session.execute(mine.values(point_ids=list(rest)))

    def measure_lag(self, alias: str) -> Lag:
        with self._transaction() as session:
            state = _read_state(session, alias)
            if state is None:
                raise Broken(f"{alias} has no journal")
            now = self._clock.now(session)
            waits = and_(JournalRow.status == EntryStatus.UNKNOWN, ~self._is_readable(now))
            pending = JournalRow.status == EntryStatus.PENDING
            counts = select(
                func.count(),
                func.coalesce(func.sum(func.json_array_length(JournalRow.point_ids)), 0),
                func.count().filter(pending),
                func.count().filter(waits),
                func.max(JournalRow.ended_at).filter(waits),
            ).where(JournalRow.alias == alias, _UNRETIRED)
            left, points, under_way, unknown, last = session.execute(counts).one()
            unknown_for = states.arrives_for(last, now, self._bounds)
            quiet = state.quiet_for(now, self._bounds)
            return Lag(state, left, points, under_way, unknown, unknown_for, quiet)

    def list_left(self, alias: str) -> list[PointId]:
        """Returns the ids of all writes that have not reached the follower."""
        query = select(JournalRow.point_ids).where(JournalRow.alias == alias, _UNRETIRED)
        with self._transaction() as session:
            pieces = session.scalars(query.order_by(JournalRow.seq)).all()
        return list(dict.fromkeys(one for piece in pieces for one in piece))

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

    def abandon_switch(self, alias: str, fence: Fence) -> None:
        """Lets writes in again after a switch that was decided and that nobody finishes."""
        self._change_state(alias, fence, lambda state, now: states.abandon_switch(state))

    def end_rebuild(self, alias: str, fence: Fence) -> None:
        with self._change_alone(alias, fence) as (session, state, now):
            _write_state(session, states.end_rebuild(state), now)
        self.prune_entries(alias)

    def prune_entries(self, alias: str) -> bool:
        """Deletes a piece of the rows that nobody needs any more: the journal has ended, or its
        capture has not begun. Returns whether there may be more."""
        with self._transaction() as session:
            state = _share_state(session, alias)
            if state is None or state.phase not in {Phase.IDLE, Phase.ANNOUNCED}:
                return False
            done = JournalRow.status == EntryStatus.DONE
            over = ~_UNRETIRED if state.journals else JournalRow.status == EntryStatus.UNKNOWN
            mine = select(JournalRow.seq).where(JournalRow.alias == alias, or_(done, over))
            piece = session.scalars(mine.order_by(JournalRow.seq).limit(_PRUNED_AT_ONCE)).all()
            session.execute(delete(JournalRow).where(JournalRow.seq.in_(piece)))
            return len(piece) == _PRUNED_AT_ONCE

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
            state = _lock_state(session, alias)
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
                or_(JournalRow.created_at < now - longest, JournalRow.created_at > now + SLACK),
            )
            .values(status=EntryStatus.UNKNOWN, ended_at=now)
        )

    def _is_readable(self, now: datetime) -> ColumnElement[bool]:
        """As ``states.is_readable``."""
        long_ago = now - timedelta(seconds=self._bounds.quarantine)
        return or_(
            JournalRow.status == EntryStatus.DONE,
            and_(
                JournalRow.status == EntryStatus.UNKNOWN,
                or_(JournalRow.ended_at < long_ago, JournalRow.ended_at > now + SLACK),
            ),
        )

    @contextmanager
    def _statement(self) -> Iterator[Connection]:
        """A transaction of one statement."""
        try:
            with self._alone.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise explain_error(error) from error

    def _insert_open(
        self,
        connection: Connection,
        known: WriteState,
        ids: Sequence[PointId],
        open_: ColumnElement[bool],
    ) -> Entry | None:
        """Returns None if the state is not as the writer knows it, or not open."""
        values = {
            **_entry_of(known, ids),
            "status": EntryStatus.PENDING,
            "created_at": self._clock.stamp(connection),
        }
        columns = [_column_of(name, value) for name, value in values.items()]
        same = select(*columns).where(
            _STATES.c.alias == known.alias,
            _STATES.c.version == known.version,
            _STATES.c.phase != Phase.IDLE,
            open_,
        )
        row = insert(_JOURNAL).from_select(
            list(values), same.with_for_update(read=True, of=_STATES), include_defaults=False
        )
        entry: Entry | None = connection.scalar(row.returning(_JOURNAL.c.seq))
        return entry

    def _end_entry(self, entry: Entry, status: EntryStatus) -> bool:
        """Returns whether the write was still under way."""
        with self._statement() as connection:
            ended = (
                update(_JOURNAL)
                .where(_JOURNAL.c.seq == entry, _JOURNAL.c.status == EntryStatus.PENDING)
                .values(status=status, ended_at=self._clock.stamp(connection))
            )
            return connection.execute(ended).rowcount == 1


def open_ledger(services: Services, bounds: Bounds = BOUNDS) -> SqlLedger:
    return SqlLedger(services.sessions, services.clock, bounds)


def _state_of_row(row: WriteStateRow) -> WriteState:
    values = {field.name: getattr(row, field.name) for field in fields(WriteState)}
    return WriteState(**{**values, "phase": Phase(row.phase), "gate": Gate(row.gate)})


def _read_state(session: Session, alias: str) -> WriteState | None:
    row = session.get(WriteStateRow, alias, populate_existing=True)
    return None if row is None else _state_of_row(row)


def _lock_state(session: Session, alias: str) -> WriteState | None:
    """Nobody else writes rows or changes the state until the transaction ends."""
    row = session.get(WriteStateRow, alias, populate_existing=True, with_for_update=True)
    return None if row is None else _state_of_row(row)


def _share_state(session: Session, alias: str) -> WriteState | None:
    """Nobody changes the state until the transaction ends."""
    share = {"read": True}
    row = session.get(WriteStateRow, alias, populate_existing=True, with_for_update=share)
    return None if row is None else _state_of_row(row)


def _write_state(session: Session, state: WriteState, now: datetime) -> None:
    session.merge(WriteStateRow(**asdict(state), changed_at=now))


def _entry_of(state: WriteState, ids: Sequence[PointId]) -> dict[str, Any]:
    return {
        "alias": state.alias,
        "epoch": state.epoch,
        "point_ids": list(ids),
        "carried": False,
    }


def _column_of(name: str, value: Any) -> ColumnElement[Any]:
    """A value of the type that the journal's column has, unless it is an expression already."""
    if isinstance(value, ColumnElement):
        return value
    return literal(value, _JOURNAL.c[name].type)


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
