"""The database: one engine per process; SQLite is made safe for several processes, and PostgreSQL
gets time limits."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    NullPool,
    StaticPool,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from qdrant_rollouts.adapters import private
from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.database.snapshots import ONLY_READS
from qdrant_rollouts.core.errors import Refused, Unavailable

#: Milliseconds. A stopped worker must not hold locks, and no turn may wait for a lock longer than
#: its lease allows (celery-facts 3).
_POSTGRES_LIMITS = {
    "statement_timeout": 5000,
    "lock_timeout": 2000,
    "idle_in_transaction_session_timeout": 5000,
}

#: Supported databases; another driver that happens to be installed does not count.
_SQLITE_DRIVERS = {"sqlite", "sqlite+pysqlite"}
_POSTGRES_DRIVERS = {"postgresql", "postgresql+psycopg"}
_SQLITE_ARGUMENTS: dict[str, Any] = {"timeout": 5, "check_same_thread": False}
_POOL: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 8}
#: Parameters that a ``file:`` URI may have for SQLite besides the mode (sqlite.org/uri.html).
_URI_PARAMETERS = {"cache", "immutable", "nolock", "psow", "vfs"}


def open_engine(url: str, *, pooled: bool = True, pinged: bool = True) -> Engine:
    """Returns an engine for ``url``. No connection is made yet. An engine that is not ``pooled``
    keeps no connection open. One that is not ``pinged`` uses a connection without asking first
    whether it still works. Raises Refused if it is not a database URL."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Refused(
            "ROLLOUTS_DATABASE_URL is not a database URL; e.g. postgresql://user:password@host/name"
        ) from error
    if parsed.drivername in _SQLITE_DRIVERS:
        return _open_sqlite(parsed, pooled=pooled)
    options: dict[str, Any] = {**_POOL, "pool_pre_ping": pinged}
    if not pooled:
        options = {"poolclass": NullPool}
    if parsed.drivername not in _POSTGRES_DRIVERS:
        raise Refused(
            f"ROLLOUTS_DATABASE_URL: there is no driver for {parsed.drivername}; use postgresql or "
            "sqlite"
        )
    engine = create_engine(
        parsed, connect_args=connect_arguments(parsed), hide_parameters=True, **options
    )
    _limit_transactions(engine)
    return engine


def connect_arguments(url: URL) -> dict[str, Any]:
    """Returns the driver's arguments besides ``url``, so that a pooler can be used: with
    transaction pooling (PgBouncer) there are no startup parameters, and a prepared statement exists
    on only one of its connections."""
    if url.get_backend_name() != "postgresql":
        return {}
    arguments: dict[str, Any] = {"connect_timeout": 5}
    if own := _own_options(url):  # the parameter may occur more than once
        arguments["options"] = own
    if url.get_driver_name() == "psycopg":
        arguments["prepare_threshold"] = None
    return arguments


def _own_options(url: URL) -> str:
    return " ".join(url.normalized_query.get("options", ()))


def _limit_transactions(engine: Engine) -> None:
    """Sets the limits at the beginning of each transaction, and only for it: a setting of the
    session is lost behind a pooler, or affects another client. Limits in the URL's own ``options``
    have priority."""
    own = _own_options(engine.url)
    limits = [
        f"SET LOCAL {name} = {value}" for name, value in _POSTGRES_LIMITS.items() if name not in own
    ]

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # Without a transaction there is nothing that they could be valid for.
        alone = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if limits and not alone:
            connection.exec_driver_sql("; ".join(limits))


def open_sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine, expire_on_commit=False)


def database_address(engine: Engine) -> str:
    """Returns the database's address, without credentials."""
    url = engine.url
    return URL.create(
        url.drivername, host=url.host, port=url.port, database=url.database
    ).render_as_string()


def ping_database(engine: Engine) -> None:
    """Raises Unavailable, naming the address, if the database does not answer, Misconfigured if it
    refuses us."""
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise unavailable_error(engine, error) from error


def check_database_writable(engine: Engine, write: Callable[[Session], None] | None = None) -> None:
    """Checks that rows can be written: ``write`` does it, in a transaction that is committed;
    without it a table is created and rolled back. Raises as ``ping_database``."""
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
    """Explains ``error`` with the address; Misconfigured if a setting is wrong."""
    return explain_error(error, f"the database at {database_address(engine)}")


class DatabaseClock:
    """The database server's clock; with SQLite it is this machine's. There the transaction begins
    before the clock is read, because it may have to wait for another transaction: a time that was
    read before would be earlier than rows which that one has written."""

    def now(self, session: Session) -> datetime:
        if session.get_bind().dialect.name == "sqlite":
            session.connection()
            return datetime.now(UTC)
        found: datetime = session.scalars(select(func.clock_timestamp())).one()
        return found.astimezone(UTC)

    def stamp(self, connection: Connection) -> Any:
        if connection.dialect.name == "sqlite":
            return datetime.now(UTC)
        return func.clock_timestamp()


def sqlite_file(url: URL) -> Path | None:
    """Returns the file of an SQLite database, also for a ``file:`` URI; None for any other
    database."""
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or name in ("", ":memory:"):
        return None
    if not name.startswith("file:"):
        return Path(name)
    path = unquote(urlsplit(name).path)
    if path in ("", ":memory:") or url.query.get("mode") == "memory":
        return None
    return Path(path)


def sqlite_files(file: Path) -> tuple[Path, ...]:
    """Returns the database and the files that SQLite keeps next to it."""
    return tuple(file.with_name(file.name + ending) for ending in ("", "-wal", "-shm", "-journal"))


def _open_sqlite(url: URL, *, pooled: bool) -> Engine:
    """Writers wait for each other instead of overwriting: WAL, BEGIN IMMEDIATE, and the driver's
    own BEGIN off (measured in libraries.md: 400 of 400 increments, 112 without). Whoever says that
    it only reads keeps no writer waiting."""
    file = absolute_sqlite_file(url)
    options: dict[str, Any] = {} if pooled else {"poolclass": NullPool}
    engine = create_engine(url, connect_args=_SQLITE_ARGUMENTS, hide_parameters=True, **options)

    @event.listens_for(engine, "do_connect")
    def _keep_private(*_: Any) -> None:
        """The process that connects creates the folder, because a process that only reads creates
        nothing. SQLite gives the files next to the database the database's own mode. If an error
        occurs here, SQLite will meet it too and report it."""
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
        for pragma in (
            "journal_mode=WAL",
            "busy_timeout=5000",
            "foreign_keys=ON",
            "synchronous=FULL",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        only_reads = connection.get_execution_options().get(ONLY_READS)
        connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")

    return engine


def _make_folder(folder: Path) -> None:
    try:
        private.make_folder(folder)
    except OSError as error:
        raise Refused(
            f"ROLLOUTS_DATABASE_URL: its folder {folder} cannot be made: {error.strerror or error}"
        ) from error


def open_read_only(url: str) -> Engine:
    """Returns an engine whose connections can change nothing, and create no file. Raises Refused as
    ``open_engine`` does."""
    engine = open_engine(url)
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True)
    file = absolute_sqlite_file(engine.url)
    if file is None:
        return engine
    where = _read_only_uri(engine.url, file)
    looking = create_engine(
        engine.url,
        creator=lambda: sqlite3.connect(where, uri=True, **_SQLITE_ARGUMENTS),
        hide_parameters=True,
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
    """Does not use ``mode=ro``, with which nobody removes the two files that reading beside writers
    needs (measured on 3.46), unless the database's own URL says so. The URL's other SQLite
    parameters are kept."""
    said = {
        name: value
        for name, value in url.query.items()
        if name in _URI_PARAMETERS and isinstance(value, str)
    }
    mode = "rw"
    if url.query.get("mode") == "ro":
        mode = "ro"
    return f"file:{quote(str(file))}?{urlencode({**said, 'mode': mode})}"


def open_empty(tables: MetaData) -> Engine:
    """Returns a database without rows, in memory: what a reader sees if none was ever created."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args=_SQLITE_ARGUMENTS)
    tables.create_all(engine)
    return engine


def absolute_sqlite_file(url: URL) -> Path | None:
    """As ``sqlite_file``, but absolute."""
    file = sqlite_file(url)
    if file is None:
        return None
    return file.absolute()
