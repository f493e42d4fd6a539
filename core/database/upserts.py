"""``INSERT … ON CONFLICT``: SQLite and PostgreSQL use the same syntax, but SQLAlchemy has two
functions."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Base

Rows = Sequence[Mapping[str, Any]]


def insert_new(session: Session, table: type[Base], rows: Rows) -> None:
    """Adds the rows whose key does not exist yet; an existing row stays."""
    if rows:
        session.execute(
            _insert_into(session, table).on_conflict_do_nothing(), _sort_by_key(table, rows)
        )


def insert_if_new(session: Session, table: type[Base], row: Mapping[str, Any]) -> bool:
    """Adds the row; returns whether it did not exist before. If two do this at once, the second
    waits for the first one's transaction."""
    key = inspect(table).primary_key[0]
    statement = _insert_into(session, table).values(row).on_conflict_do_nothing().returning(key)
    return session.execute(statement).first() is not None


def insert_or_add(session: Session, table: type[Base], rows: Rows, columns: Sequence[str]) -> None:
    """Adds the rows, or adds their ``columns`` to the row that has the key already."""
    if not rows:
        return
    statement = _insert_into(session, table)
    summed = {name: getattr(table, name) + statement.excluded[name] for name in columns}
    session.execute(
        statement.on_conflict_do_update(index_elements=_list_key_columns(table), set_=summed),
        _sort_by_key(table, rows),
    )


def _insert_into(session: Session, table: type[Base]) -> Any:
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _list_key_columns(table: type[Base]) -> list[str]:
    return [column.name for column in inspect(table).primary_key]


def _sort_by_key(table: type[Base], rows: Rows) -> list[Mapping[str, Any]]:
    """Sorts by key: two transactions that lock rows in the same order cannot deadlock."""
    key = _list_key_columns(table)
    return sorted(rows, key=lambda row: [row[name] for name in key])
