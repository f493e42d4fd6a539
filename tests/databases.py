"""Databases and engines for one test after the other: emptying a database takes a tenth of the time
of creating one, and a new engine compiles every statement again, which is a fifth of the time of a
deployment in a world."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import Engine, NullPool, create_engine, inspect

from qdrant_rollouts.adapters.database import open_engine
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


def reopen_engine(url: str) -> Engine:
    """Returns an engine for ``url`` that knows the statements which earlier engines for it have
    compiled. It has none of their listeners and connections: those may lead to a file that is
    gone."""
    kept = _keep_engine(url)
    kept.dispose()
    return kept.execution_options()


@lru_cache(maxsize=16)
def _keep_engine(url: str) -> Engine:
    return open_engine(url)


class SqlitePool:
    """SQLite files in ``folder``, copies of ``migrated``. The same few addresses are lent again and
    again, so that their engines can be kept."""

    def __init__(self, folder: Path, migrated: Path) -> None:
        self._migrated = migrated
        self._new = (folder / f"{number}/state.db" for number in count())
        self._free: list[Path] = []

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Lends a database with every table and no rows, in a folder of its own. A folder in which
        somebody still writes is not lent again."""
        file = self._free.pop() if self._free else next(self._new)
        file.parent.mkdir()
        shutil.copy(self._migrated, file)
        yield f"sqlite:///{file}"
        shutil.rmtree(file.parent, ignore_errors=True)
        if not file.parent.exists():
            self._free.append(file)


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
