"""The part of the ledger in the database that writers use.

Rule: a journal row is written by a statement that shares the lock of its alias's state, and a
state is changed under its exclusive lock. So whoever changes a state sees every row that was begun
before, and nobody begins one by the old state. The same holds for the lock of all writers and what
they confirm. No lock is held while Qdrant is asked.

A write costs two statements. With PostgreSQL each is its own transaction, so it is one request.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    delete,
    insert,
    literal,
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
from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.ledger import Entry, Opened
from qdrant_rollouts.core.journal.locks import share_writers
from qdrant_rollouts.core.journal.state_rows import read_state, share_state, state_of_row
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import Clock, PointId

_JOURNAL = Base.metadata.tables[JournalRow.__tablename__]
_STATES = Base.metadata.tables[WriteStateRow.__tablename__]


class SqlWriterLedger:
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

    def renew_lease(self, process: str, confirmed: Mapping[str, int]) -> dict[str, WriteState]:
        with self._transaction() as session:
            share_writers(session)
            until = self._clock.now(session) + timedelta(seconds=self._bounds.lease)
            session.merge(WriterRow(process=process, lease_until=until, confirmed=dict(confirmed)))
            rows = session.scalars(select(WriteStateRow))
            return {row.alias: state_of_row(row) for row in rows}

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
            state = read_state(session, known.alias)
            if state is None or not state.admits_writes(self._clock.now(session)):
                return Opened(state)
            state = share_state(session, known.alias)
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
            state = share_state(session, alias)
            if state is None or not state.journals:
                return
            now = self._clock.now(session)
            values = {"status": EntryStatus.DONE, "created_at": now, "ended_at": now}
            session.execute(insert(JournalRow).values(**_entry_of(state, ids), **values))

    # --- within a transaction ---------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        try:
            with self._sessions.begin() as session:
                yield session
        except SQLAlchemyError as error:
            raise explain_error(error) from error

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
