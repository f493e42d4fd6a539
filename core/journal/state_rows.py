"""The state of an alias's writes in its row, and the locks under which it is read and changed."""

from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.journal_rows import Gate, Phase, WriteStateRow
from qdrant_rollouts.core.journal.states import WriteState


def state_of_row(row: WriteStateRow) -> WriteState:
    values = {field.name: getattr(row, field.name) for field in fields(WriteState)}
    return WriteState(**{**values, "phase": Phase(row.phase), "gate": Gate(row.gate)})


def read_state(session: Session, alias: str) -> WriteState | None:
    row = session.get(WriteStateRow, alias, populate_existing=True)
    return None if row is None else state_of_row(row)


def lock_state(session: Session, alias: str) -> WriteState | None:
    """Nobody else writes rows or changes the state until the transaction ends."""
    row = session.get(WriteStateRow, alias, populate_existing=True, with_for_update=True)
    return None if row is None else state_of_row(row)


def share_state(session: Session, alias: str) -> WriteState | None:
    """Nobody changes the state until the transaction ends."""
    share = {"read": True}
    row = session.get(WriteStateRow, alias, populate_existing=True, with_for_update=share)
    return None if row is None else state_of_row(row)


def write_state(session: Session, state: WriteState, now: datetime) -> None:
    session.merge(WriteStateRow(**asdict(state), changed_at=now))
