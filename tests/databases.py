"""Databases for one test after the other: emptying one takes a tenth of the time of creating
one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import NullPool, create_engine, inspect

from tests.servers import fresh_database

#: Tables whose rows a migration writes.
_KEPT = {"alembic_version", "works_with"}
#: The revision and tables of a database. A test may have brought it to another release.
_MARKS = """
    SELECT (SELECT version_num FROM alembic_version), (SELECT oldest_program FROM works_with),
        (SELECT string_agg(concat_ws(' ', attrelid::regclass, attname, atttypid, attnotnull), ','
            ORDER BY attrelid::regclass::text, attnum)
         FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            AND attnum > 0 AND NOT attisdropped)
"""
#: Bytes of a table whose rows are worth no deletion: they would slow every later look at it.
_LARGE = 1_000_000
_LARGEST = """
    SELECT max(pg_relation_size(oid)) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
_RESTART = """
    SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL
"""


class DatabasePool:
    """PostgreSQL databases on ``server``, copies of ``migrated``; nobody may be connected to that
    one."""

    def __init__(self, server: str, migrated: str) -> None:
        self._server = server
        self._migrated = migrated
        with psycopg.connect(migrated) as connection:
            self._marks = _read_one(connection, _MARKS)
        self._empty = _write_emptying(migrated)
        self._free: list[str] = []
        self._made = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._made.close()

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Lends a database with every table and no rows. One that cannot be emptied after a test,
        or that is still in use, is not lent again."""
        url = self._free.pop() if self._free else self._make()
        yield url
        if self._clear(url):
            self._free.append(url)

    def _make(self) -> str:
        return self._made.enter_context(fresh_database(self._server, like=self._migrated))

    def _clear(self, url: str) -> bool:
        try:
            with psycopg.connect(url) as connection:
                connection.execute("SET LOCAL lock_timeout = '2s'")
                if _read_one(connection, _MARKS) != self._marks:
                    return False
                if _read_one(connection, _LARGEST) > (_LARGE,):
                    return False
                connection.execute(self._empty)
        except psycopg.Error:
            return False
        return True


def _read_one(connection: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return tuple(found)


def _write_emptying(url: str) -> Composed:
    """Returns the statements that empty every table, the referring ones first. TRUNCATE would give
    each table, its indexes and those of all that refer to it new files, which takes ten times as
    long for the few rows of a test."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        ordered = inspect(connection).get_sorted_table_and_fkc_names()
    tables = [Identifier(name) for name, _ in reversed(ordered) if name and name not in _KEPT]
    lock = SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(SQL(", ").join(tables))
    deletions = [SQL("DELETE FROM {}").format(table) for table in tables]
    return SQL("; ").join([lock, *deletions, SQL(_RESTART)])
