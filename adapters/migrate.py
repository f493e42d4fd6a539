"""Bringing the database to the revision this code needs, once, whoever comes first.

``python -m qdrant_rollouts.adapters.migrate`` does that and nothing else.
"""

from importlib import import_module
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.database import address, file_of, open_engine, unavailable
from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.core.errors import Refused

#: Any number, the same in every process: PostgreSQL's lock for "one migrates, the others wait".
_LOCK = 7_246_105


def migrate(engine: Engine) -> None:
    """Upgrades to HEAD under a lock; nothing to do when it is there. Raises Refused for a database that is newer."""
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            found = revision(connection)
            if found == migrations.HEAD:
                return
            _check_age(engine, found)
            _upgrade(connection)
    except SQLAlchemyError as error:
        raise unavailable(engine, error) from error


def revision(connection: Connection) -> str | None:
    """The revision the database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def missing(engine: Engine) -> str:
    """What is not there for one who only looks, in words; nothing where he can. Raises Refused for a database of
    another release, Unavailable if it does not answer."""
    file = file_of(engine.url)
    if file is not None and not file.exists():
        return f"there is no database at {file}"
    try:
        with engine.connect() as connection:
            found = revision(connection)
    except SQLAlchemyError as error:
        raise unavailable(engine, error) from error
    where = file or address(engine)
    if found is None:
        return f"the database at {where} has no tables"
    _check_age(engine, found)
    if found < migrations.HEAD:
        raise Refused(
            f"the database at {where} is at revision {found}, older than this program's {migrations.HEAD}, and looking "
            "does not change it: `rollouts up`, a worker or any command that changes something brings it up to date"
        )
    return ""


def _check_age(engine: Engine, found: str | None) -> None:
    if found is not None and found > migrations.HEAD:
        raise Refused(
            f"the database at {address(engine)} is at revision {found}, newer than this program's {migrations.HEAD}: "
            "update the program"
        )


def _upgrade(connection: Connection) -> None:
    """Alembic is loaded by the one process that has something to bring up to date."""
    config = import_module("alembic.config").Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    import_module("alembic.command").upgrade(config, "head")


if __name__ == "__main__":
    migrate(open_engine(load_settings().database_url.get_secret_value()))
