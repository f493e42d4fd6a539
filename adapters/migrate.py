"""Migrates the database to the revision that this program knows, once, however many processes try.

Rule: only ``rollouts migrate`` changes a PostgreSQL database that has tables, because other
processes, perhaps of another release, may be using it. An empty database has no such processes, and
SQLite belongs to one machine: there the first process migrates. The processes of applications
(routers, and clients that write) change no tables at all: ``check_tables``.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.database import absolute_sqlite_file, unavailable_error
from qdrant_rollouts.adapters.releases import Found, check, find, found_in, where
from qdrant_rollouts.core.errors import Unavailable

#: Any number that is the same in every process: PostgreSQL's lock for "one migrates, the others
#: wait".
_ADVISORY_LOCK = 7_246_105
#: How long a change of a table waits for its readers; everything else waits behind it.
_PATIENCE = "10s"


@dataclass(frozen=True, slots=True)
class Migrated:
    """``before`` is None if there were no tables."""

    before: str | None
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


def migrate_database(engine: Engine) -> Migrated:
    """Upgrades to HEAD under a lock; does nothing if the database is at HEAD, or newer and this
    program works with it. Raises OtherRelease if it does not."""
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(
                    text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
                )
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK}
                )
                connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
            found = find(connection)
            if _is_old(found):
                _run_upgrade(connection)
            return _outcome(engine, found)
    except SQLAlchemyError as error:
        raise unavailable_error(engine, error) from error


def plan_migration(engine: Engine) -> Migrated:
    """Returns what ``migrate_database`` would do; changes nothing. Raises as it does."""
    return _outcome(engine, found_in(engine))


def prepare(engine: Engine) -> None:
    """What every process does at its start: creates the tables of an empty database, migrates
    SQLite, and checks any other. Raises OtherRelease if this program cannot work with it."""
    if engine.dialect.name == "sqlite":
        migrate_database(engine)
        return
    found = found_in(engine)
    if found.revision is None:
        migrate_database(engine)
    check(engine, found)


def check_tables(engine: Engine, oldest: str) -> None:
    """What a process of an application does in place of ``prepare``; it works with revisions from
    ``oldest`` on. Raises Unavailable if there are no tables, and OtherRelease if this program
    cannot work with them."""
    if lacks := describe_missing_tables(engine, oldest):
        raise Unavailable(
            f"{lacks}: run `rollouts migrate` first, or correct ROLLOUTS_DATABASE_URL"
        )


def describe_missing_tables(engine: Engine, oldest: str = migrations.OLDEST) -> str:
    """Describes what is missing for a process that works with revisions from ``oldest`` on and
    creates nothing; empty if nothing is. Raises OtherRelease for a database that it cannot work
    with, Unavailable if it does not answer."""
    file = absolute_sqlite_file(engine.url)
    if file is not None and not file.exists():
        return f"there is no database at {file}"
    found = found_in(engine)
    if found.revision is None:
        return f"the database at {where(engine)} has no tables"
    check(engine, found, oldest)
    return ""


def _is_old(found: Found) -> bool:
    return found.revision is None or found.revision < migrations.HEAD


def _outcome(engine: Engine, found: Found) -> Migrated:
    if _is_old(found):
        return Migrated(found.revision, migrations.HEAD)
    check(engine, found)
    return Migrated(found.revision, str(found.revision))


def _run_upgrade(connection: Connection) -> None:
    """Only a process that has something to migrate loads Alembic."""
    config = import_module("alembic.config").Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    import_module("alembic.command").upgrade(config, "head")
