"""The database: one engine per process, SQLite made safe for several processes, PostgreSQL made to give up in time."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, MetaData, StaticPool, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from core.errors import Refused, Unavailable

#: A stopped worker must not hold locks, and no turn may wait longer for one than its lease allows (celery-facts 3).
#: What the URL's own ``options`` say comes after these and so holds.
_POSTGRES_LIMITS = "-c statement_timeout=5000 -c lock_timeout=2000 -c idle_in_transaction_session_timeout=5000"

_SQLITE: dict[str, Any] = {"timeout": 5, "check_same_thread": False}


def open_engine(url: str) -> Engine:
    """An engine for ``url``. No connection is made yet. Raises Refused when it is no database URL."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Refused(
            "ROLLOUTS_DATABASE_URL is not a database URL; e.g. postgresql://user:password@host/name"
        ) from error
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 8}
    if parsed.get_backend_name() == "postgresql":
        own = " ".join(parsed.normalized_query.get("options", ()))
        options["connect_args"] = {"options": f"{_POSTGRES_LIMITS} {own}", "connect_timeout": 5}
    try:
        return create_engine(parsed, **options)
    except (ArgumentError, ImportError) as error:
        raise Refused(f"ROLLOUTS_DATABASE_URL: there is no driver for {parsed.drivername}; use postgresql") from error


def open_sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


def address(engine: Engine) -> str:
    """Where the database is, without credentials."""
    url = engine.url
    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def ping(engine: Engine) -> None:
    """Raises Unavailable, naming the address, if the database does not answer."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise unavailable(engine, error) from error


def unavailable(engine: Engine, error: BaseException) -> Unavailable:
    return Unavailable(f"the database at {address(engine)} did not answer ({type(error).__name__}); is it running?")


class DatabaseClock:
    """The database server's clock; with SQLite that is this machine's."""

    def now(self, session: Session) -> datetime:
        if session.get_bind().dialect.name == "sqlite":
            return datetime.now(UTC)
        found: datetime = session.scalars(select(func.clock_timestamp())).one()
        return found.astimezone(UTC)


def _sqlite(url: URL) -> Engine:
    """Writers queue up instead of overwriting each other: WAL, BEGIN IMMEDIATE, and the driver's own BEGIN off
    (measured in libraries.md: 400 of 400 increments, 112 without)."""
    engine = create_engine(url, connect_args=_SQLITE)

    @event.listens_for(engine, "do_connect")
    def _make_folder(dialect: Any, record: Any, given: Any, named: Any) -> None:
        if (file := file_of(engine)) is not None:
            file.parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


# --- for those who only look --------------------------------------------------------------------------------------


def open_to_look(url: str) -> Engine:
    """An engine whose connections can change nothing, and make no file. Raises Refused as ``open_engine`` does."""
    engine = open_engine(url)
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True)
    file = file_of(engine)
    if file is None:
        return engine
    # Not mode=ro, by which nobody takes away the two files that reading beside writers needs (measured on 3.46).
    where = f"file:{quote(str(file))}?mode=rw"
    looking = create_engine(engine.url, creator=lambda: sqlite3.connect(where, uri=True, **_SQLITE))

    @event.listens_for(looking, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only=ON")

    @event.listens_for(looking, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return looking


def open_empty(tables: MetaData) -> Engine:
    """A database without a row, in memory: what there is to see where none was ever made."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=_SQLITE)
    tables.create_all(engine)
    return engine


def file_of(engine: Engine) -> Path | None:
    """SQLite's file, wherever it is named from; None for a server, and for a database in memory."""
    name = engine.url.database
    if engine.url.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name).absolute()
