"""The database: one engine per process, SQLite made safe for several processes, PostgreSQL made to give up in time."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from sqlalchemy import Engine, MetaData, NullPool, StaticPool, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from qdrant_rollouts.adapters import private
from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.errors import Refused, Unavailable

#: Milliseconds. A stopped worker must not hold locks, and no turn may wait longer for one than its lease allows
#: (celery-facts 3).
_POSTGRES_LIMITS = {"statement_timeout": 5000, "lock_timeout": 2000, "idle_in_transaction_session_timeout": 5000}

#: What the state may stand in; another one that is installed here by chance is no other.
_SQLITE_DRIVERS = {"sqlite", "sqlite+pysqlite"}
_POSTGRES_DRIVERS = {"postgresql", "postgresql+psycopg"}
_SQLITE_ARGUMENTS: dict[str, Any] = {"timeout": 5, "check_same_thread": False}
_POOL: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 8}
#: What a ``file:`` URI may say to SQLite besides the mode (sqlite.org/uri.html).
_URI_PARAMETERS = {"cache", "immutable", "nolock", "psow", "vfs"}


def open_engine(url: str, *, pooled: bool = True) -> Engine:
    """An engine for ``url``. No connection is made yet. One that is not ``pooled`` keeps none open. Raises Refused when
    it is no database URL."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Refused(
            "ROLLOUTS_DATABASE_URL is not a database URL; e.g. postgresql://user:password@host/name"
        ) from error
    if parsed.drivername in _SQLITE_DRIVERS:
        return _open_sqlite(parsed, pooled=pooled)
    options: dict[str, Any] = _POOL if pooled else {"poolclass": NullPool}
    if parsed.drivername not in _POSTGRES_DRIVERS:
        raise Refused(f"ROLLOUTS_DATABASE_URL: there is no driver for {parsed.drivername}; use postgresql or sqlite")
    engine = create_engine(parsed, connect_args=connect_arguments(parsed), hide_parameters=True, **options)
    _limit_transactions(engine)
    return engine


def connect_arguments(url: URL) -> dict[str, Any]:
    """What the driver is told besides ``url``, so that a pooler may stand before the database: transaction pooling
    (PgBouncer) takes no startup parameters, and knows a prepared statement on one of its connections only."""
    if url.get_backend_name() != "postgresql":
        return {}
    arguments: dict[str, Any] = {"connect_timeout": 5}
    if own := _own_options(url):  # which may stand there more than once
        arguments["options"] = own
    if url.get_driver_name() == "psycopg":
        arguments["prepare_threshold"] = None
    return arguments


def _own_options(url: URL) -> str:
    return " ".join(url.normalized_query.get("options", ()))


def _limit_transactions(engine: Engine) -> None:
    """At the beginning of each transaction, and for it alone: what is set for a session is lost behind a pooler, or met
    by somebody else. What the URL's own ``options`` set holds."""
    own = _own_options(engine.url)
    limits = [f"SET LOCAL {name} = {value}" for name, value in _POSTGRES_LIMITS.items() if name not in own]

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        if limits:
            connection.exec_driver_sql("; ".join(limits))


def open_sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


def database_address(engine: Engine) -> str:
    """Where the database is, without credentials."""
    url = engine.url
    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def ping_database(engine: Engine) -> None:
    """Raises Unavailable, naming the address, if the database does not answer, Misconfigured if it refuses us."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise unavailable_error(engine, error) from error


def check_database_writable(engine: Engine, write: Callable[[Session], None] | None = None) -> None:
    """Whether rows can be written: ``write`` does it, in a transaction that is committed; without
    it a table is made and taken back. Raises as ``ping_database``."""
    try:
        if write is not None:
            with open_sessions(engine).begin() as session:
                write(session)
            return
        with engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text("CREATE TABLE rollouts_doctor (id INTEGER)"))
            connection.execute(text("INSERT INTO rollouts_doctor VALUES (1)"))
            transaction.rollback()
    except SQLAlchemyError as error:
        raise unavailable_error(engine, error) from error


def unavailable_error(engine: Engine, error: BaseException) -> Unavailable:
    """What ``error`` means, in our words and with the address; Misconfigured where a setting is wrong."""
    return explain_error(error, f"the database at {database_address(engine)}")


class DatabaseClock:
    """The database server's clock; with SQLite that is this machine's, which is looked at once the transaction has
    begun: it waits for others', and who looks before would find in it what was written after."""

    def now(self, session: Session) -> datetime:
        if session.get_bind().dialect.name == "sqlite":
            session.connection()
            return datetime.now(UTC)
        found: datetime = session.scalars(select(func.clock_timestamp())).one()
        return found.astimezone(UTC)


def sqlite_file(url: URL) -> Path | None:
    """The file of an SQLite database, also where it is written as a ``file:`` URI; None for any other database."""
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or name in ("", ":memory:"):
        return None
    if not name.startswith("file:"):
        return Path(name)
    path = unquote(urlsplit(name).path)
    return None if path in ("", ":memory:") or url.query.get("mode") == "memory" else Path(path)


def sqlite_files(file: Path) -> tuple[Path, ...]:
    """The database and what SQLite keeps beside it."""
    return tuple(file.with_name(file.name + ending) for ending in ("", "-wal", "-shm", "-journal"))


def _open_sqlite(url: URL, *, pooled: bool) -> Engine:
    """Writers queue up instead of overwriting each other: WAL, BEGIN IMMEDIATE, and the driver's own BEGIN off
    (measured in libraries.md: 400 of 400 increments, 112 without)."""
    file = absolute_sqlite_file(url)
    options: dict[str, Any] = {} if pooled else {"poolclass": NullPool}
    engine = create_engine(url, connect_args=_SQLITE_ARGUMENTS, hide_parameters=True, **options)

    @event.listens_for(engine, "do_connect")
    def _keep_private(*_: Any) -> None:
        """The folder is made by whoever connects, for whoever looks makes none. SQLite makes what stands beside the
        database with the database's own mode. What cannot be done here it will not do either, and says so."""
        if file is not None:
            _make_folder(file.parent)
        if file is not None and url.query.get("mode", "rwc") == "rwc":
            with suppress(OSError):
                private.make_file(file.resolve())
                for beside in sqlite_files(file.resolve())[1:]:
                    private.tighten_mode(beside)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _make_folder(folder: Path) -> None:
    try:
        private.make_folder(folder)
    except OSError as error:
        raise Refused(
            f"ROLLOUTS_DATABASE_URL: its folder {folder} cannot be made: {error.strerror or error}"
        ) from error


# --- for those who only look --------------------------------------------------------------------------------------


def open_read_only(url: str) -> Engine:
    """An engine whose connections can change nothing, and make no file. Raises Refused as ``open_engine`` does."""
    engine = open_engine(url)
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True)
    file = absolute_sqlite_file(engine.url)
    if file is None:
        return engine
    where = _read_only_uri(engine.url, file)
    looking = create_engine(
        engine.url, creator=lambda: sqlite3.connect(where, uri=True, **_SQLITE_ARGUMENTS), hide_parameters=True
    )

    @event.listens_for(looking, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only=ON")

    @event.listens_for(looking, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return looking


def _read_only_uri(url: URL, file: Path) -> str:
    """Not ``mode=ro``, by which nobody takes away the two files that reading beside writers needs (measured on 3.46),
    unless the database's own URL says so; what else that says to SQLite holds too."""
    said = {name: value for name, value in url.query.items() if name in _URI_PARAMETERS and isinstance(value, str)}
    mode = "ro" if url.query.get("mode") == "ro" else "rw"
    return f"file:{quote(str(file))}?{urlencode({**said, 'mode': mode})}"


def open_empty(tables: MetaData) -> Engine:
    """A database without a row, in memory: what there is to see where none was ever made."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=_SQLITE_ARGUMENTS)
    tables.create_all(engine)
    return engine


def absolute_sqlite_file(url: URL) -> Path | None:
    """``sqlite_file``, wherever it is named from."""
    file = sqlite_file(url)
    return None if file is None else file.absolute()
