"""The ledger in the database, whole: what writers use, and what whoever rebuilds needs besides.

Rule: a state is changed under the exclusive lock of its row; see ``sql_writers``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.journal_rows import EntryStatus, JournalRow, Phase, WriterRow
from qdrant_rollouts.core.database.leases import SLACK, free
from qdrant_rollouts.core.errors import Broken
from qdrant_rollouts.core.journal import states
from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.ledger import Entry, Fence, Lag, Selection, take_piece
from qdrant_rollouts.core.journal.locks import exclude_writers
from qdrant_rollouts.core.journal.sql_writers import SqlWriterLedger
from qdrant_rollouts.core.journal.state_rows import lock_state, read_state, share_state, write_state
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import PointId
from qdrant_rollouts.core.services import Services

_UNRETIRED = JournalRow.retired_at.is_(None)
#: Rows that one statement deletes. More would take longer than the database allows.
_PRUNED_AT_ONCE = 5_000


class SqlLedger(SqlWriterLedger):
    """Raises Unavailable if the database does not answer, and Broken for an alias without a
    journal."""

    def read_state(self, alias: str) -> WriteState | None:
        with self._transaction() as session:
            return read_state(session, alias)

    def announce_rebuild(self, alias: str, leader: str, follower: str, fence: Fence) -> WriteState:
        with self._transaction() as session:
            fence(session)
            # Every process that renews after this transaction learns of the rebuild.
            exclude_writers(session)
            found = lock_state(session, alias)
            state = states.announce_rebuild(found, alias, leader, follower)
            write_state(session, state, self._clock.now(session))
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
            write_state(session, states.begin_capture(state, last), now)
            return []

    def select_entries(self, alias: str, fence: Fence) -> Selection:
        with self._change_alone(alias, fence) as (session, found, now):
            state = states.begin_round(found, now, self._bounds)
            if state is not found:
                write_state(session, state, now)
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
            state = read_state(session, alias)
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
            write_state(session, states.close_gate(state, now, self._bounds), now)

    def reopen_gate(self, alias: str, fence: Fence) -> None:
        self._change_state(alias, fence, lambda state, now: states.reopen_gate(state))

    def decide_switch(self, alias: str, fence: Fence) -> str:
        with self._change_alone(alias, fence) as (session, state, now):
            left = select(func.count()).where(JournalRow.alias == alias, _UNRETIRED)
            count = session.scalar(left) or 0
            why_not = states.why_not_decided(state, now, self._bounds, count)
            if not why_not:
                write_state(session, states.decide_switch(state), now)
            return why_not

    def finish_switch(self, alias: str, leader: str, fence: Fence) -> WriteState:
        with self._change_alone(alias, fence) as (session, state, now):
            finished = states.finish_switch(state, leader)
            write_state(session, finished, now)
            return finished

    def abandon_switch(self, alias: str, fence: Fence) -> None:
        """Lets writes in again after a switch that was decided and that nobody finishes."""
        self._change_state(alias, fence, lambda state, now: states.abandon_switch(state))

    def end_rebuild(self, alias: str, fence: Fence) -> None:
        with self._change_alone(alias, fence) as (session, state, now):
            write_state(session, states.end_rebuild(state), now)
        self.prune_entries(alias)

    def prune_entries(self, alias: str) -> bool:
        """Deletes a piece of the rows that nobody needs any more: the journal has ended, or its
        capture has not begun. Returns whether there may be more."""
        with self._transaction() as session:
            state = share_state(session, alias)
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
    def _change_alone(
        self, alias: str, fence: Fence
    ) -> Iterator[tuple[Session, WriteState, datetime]]:
        """Keeps everybody else from the alias until the transaction ends."""
        with self._transaction() as session:
            fence(session)
            state = lock_state(session, alias)
            if state is None:
                raise Broken(f"{alias} has no journal")
            yield session, state, self._clock.now(session)

    def _change_state(
        self, alias: str, fence: Fence, change: Callable[[WriteState, datetime], WriteState]
    ) -> None:
        with self._change_alone(alias, fence) as (session, state, now):
            write_state(session, change(state, now), now)

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


def open_ledger(services: Services, bounds: Bounds = BOUNDS) -> SqlLedger:
    return SqlLedger(services.sessions, services.clock, bounds)


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
