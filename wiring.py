"""The composition root: takes settings and returns services. The only file that knows every
concrete class."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sqlalchemy.engine import make_url

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.database import (
    DatabaseClock,
    absolute_sqlite_file,
    open_empty,
    open_engine,
    open_read_only,
    open_sessions,
    sqlite_files,
)
from qdrant_rollouts.adapters.late import FirstUse, late
from qdrant_rollouts.adapters.migrate import check_tables, describe_missing_tables, prepare
from qdrant_rollouts.adapters.own_files import OwnFiles, named_files
from qdrant_rollouts.adapters.qdrant import inspection_store, open_store
from qdrant_rollouts.adapters.releases import look
from qdrant_rollouts.adapters.shelf import open_shelf
from qdrant_rollouts.checkout import stand_for
from qdrant_rollouts.core.config.settings import Settings, load_settings
from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.errors import AppError, Interrupted, NothingHere, Refused
from qdrant_rollouts.core.ports import (
    AlertChannel,
    Knock,
    Knocker,
    RouteChannel,
    Source,
    VectorStore,
)
from qdrant_rollouts.core.services import Services, Times

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, sessionmaker

    from qdrant_rollouts.core.config.index_file import (
        ConcurrencySpec,
        EmbeddingSpec,
        IndexFile,
        IndexSpec,
    )
    from qdrant_rollouts.core.ports import Embedder
    from qdrant_rollouts.core.routing import AsyncRouter, Router
    from qdrant_rollouts.core.routing.control_plane import RouterServices

EMBEDDED_STORE = ".rollouts/qdrant"
#: All modules that add tables, for a database that has none.
_TABLES = (
    "qdrant_rollouts.core.database.alert_rows",
    "qdrant_rollouts.core.database.caller_rows",
    "qdrant_rollouts.core.database.experiment_rows",
    "qdrant_rollouts.core.database.journal_rows",
    "qdrant_rollouts.core.database.judgment_rows",
    "qdrant_rollouts.core.database.log_rows",
    "qdrant_rollouts.core.database.plan_rows",
    "qdrant_rollouts.core.database.schedule_rows",
    "qdrant_rollouts.core.database.worker_rows",
    "qdrant_rollouts.core.database.write_rows",
)


def build_services(
    settings: Settings,
    knock: Knocker | None = None,
    times: Times | None = None,
    interruptions: tuple[type[BaseException], ...] = (Interrupted,),
) -> Services:
    """Returns everything that this process works with. An empty database gets its tables;
    everything else is opened at first use. Raises OtherRelease if this program cannot work with the
    database's release."""
    engine = open_engine(settings.database_url.get_secret_value())
    try:
        prepare(engine)
    except AppError:
        engine.dispose()
        raise
    services = _assemble_services(settings, open_sessions(engine), open_vector_store(settings))
    knock = knock or cast(
        "Knocker", FirstUse(lambda: late("adapters.celery", "open_knocker")(settings))
    )
    # Otherwise SQLite's readers would wait for a writer.
    looking = engine
    if engine.dialect.name == "sqlite":
        looking = open_read_only(settings.database_url.get_secret_value())
    standing = partial(look, looking)
    return replace(
        services,
        knock=knock,
        times=times or Times(),
        interruptions=interruptions,
        standing=standing,
    )


def build_read_only(settings: Settings, *, empty: bool = False) -> tuple[Services, str]:
    """Returns the services of a process that only reads: nothing is created, migrated or changed.
    Also returns a description of what is missing. Raises NothingHere with it if there is no
    database, unless it may count as ``empty``."""
    lacks = describe_missing_database(settings)
    if lacks and not empty:
        raise NothingHere(lacks)
    if lacks:
        for module in _TABLES:
            import_module(module)
    url = settings.database_url.get_secret_value()
    engine = open_empty(Base.metadata) if lacks else open_read_only(url)
    store = open_store_for_reading(settings)
    return _assemble_services(settings, open_sessions(engine), store), lacks


def _assemble_services(
    settings: Settings, sessions: "sessionmaker[Session]", store: VectorStore
) -> Services:
    """Without a messenger."""
    shelf = open_shelf(settings.backup_dir)
    own = own_files(settings)
    channel = FirstUse(
        lambda: late("adapters.route_channel", "open_channel")(
            settings.broker_url.get_secret_value()
        )
    )
    return Services(
        sessions=sessions,
        clock=DatabaseClock(),
        store=store,
        embedder=_embedder(settings, own),
        source=open_sources(settings, store),
        indexes=index_reader(settings),
        concurrency=concurrency(settings),
        knock=_ignore_knock,
        alerts=alert_channels_reader(settings),
        channel=cast("RouteChannel", channel),
        shelf=shelf,
        providers=lambda: _load_index_file(settings).providers,
    )


def _embedder(settings: Settings, own: OwnFiles) -> "Callable[[EmbeddingSpec], Embedder]":
    return partial(
        late("adapters.embeddings", "open_embedder"),
        providers=lambda: _load_index_file(settings).providers,
        own=own,
    )


def open_vector_store(settings: Settings) -> VectorStore:
    return open_store(
        settings.qdrant_url,
        settings.qdrant_api_key.get_secret_value(),
        settings.qdrant_grpc_port,
        EMBEDDED_STORE,
        settings.qdrant_nodes,
    )


def open_store_for_reading(settings: Settings) -> VectorStore:
    """The same for a process that only reads: it creates nothing."""
    store = open_vector_store(settings)
    if settings.lends_store:
        return inspection_store(store, EMBEDDED_STORE)
    return store


def open_sources(settings: Settings, store: VectorStore) -> Callable[[str], Source]:
    """Returns the function that opens the source of a text such as ``jsonl:docs/*.jsonl``."""
    return partial(
        late("adapters.sources", "open_source"),
        roots=source_roots(settings),
        store=store,
        crawl=lambda: _load_index_file(settings).crawl,
        shelf=open_shelf(settings.backup_dir),
        own=own_files(settings),
    )


def describe_missing_database(settings: Settings) -> str:
    """Describes what this folder lacks, and what to do; empty if there is a database. Creates
    none."""
    engine = open_read_only(settings.database_url.get_secret_value())
    try:
        lacks = describe_missing_tables(engine)
    finally:
        engine.dispose()
    if not lacks:
        return ""
    file = settings.config.absolute()
    if file.exists():
        return f"{lacks} yet; `rollouts deploy ALIAS` makes it, for an index of {file}"
    return (
        f"{lacks}, and no index file at {file}: nothing was deployed from here. Go to the folder "
        "that has them, "
        "or name them in ROLLOUTS_DATABASE_URL and ROLLOUTS_CONFIG; to begin here, write an index "
        "file (`rollouts init`), then "
        "`rollouts deploy ALIAS`"
    )


def _ignore_knock(knock: Knock) -> None:
    """A process that only reads starts nothing."""


def _load_index_file(settings: Settings) -> "IndexFile":
    found: IndexFile = late("core.config.index_file", "load_index_file")(settings.config)
    return found


def index_reader(settings: Settings) -> "Callable[[], Mapping[str, IndexSpec]]":
    return lambda: _load_index_file(settings).indexes


def concurrency(settings: Settings) -> "Callable[[], ConcurrencySpec | None]":
    """A file that declares neither ``concurrency`` nor an index says nothing: this process may not
    see the right file."""

    def read_concurrency() -> "ConcurrencySpec | None":
        file = _load_index_file(settings)
        if file.indexes or "concurrency" in file.model_fields_set:
            return file.concurrency
        return None

    return read_concurrency


def alert_channels_reader(settings: Settings) -> Callable[[], Mapping[str, AlertChannel]]:
    return lambda: late("adapters.alerts", "open_channels")(_load_index_file(settings).alerts)


def source_roots(settings: Settings) -> tuple[Path, ...]:
    """Folders that file sources may read: the working directory, the index file's, and additionally
    named ones."""
    return (Path.cwd(), settings.config.resolve().parent, *settings.source_roots)


def own_files(settings: Settings) -> OwnFiles:
    """The files of this program on this machine, existing or not: no request may open them."""
    here = Path.cwd()
    database_url = settings.database_url.get_secret_value()
    database = absolute_sqlite_file(make_url(database_url))
    files = {
        here / ".env": "the settings of this program",
        settings.config.absolute(): "the index file",
    }
    for path in sqlite_files(database) if database else ():
        files[path] = "the state database of this program"
    urls = [database_url, settings.broker_url.get_secret_value()]
    files |= dict.fromkeys(
        named_files(urls, os.environ), "a key, certificate or password of this program"
    )
    folders = {here / ".rollouts": "the state of this program"}
    if "://" not in settings.backup_dir:
        folders[Path(settings.backup_dir).absolute()] = "the backups of this program"
    return OwnFiles(files, folders)


def open_router(settings: Settings | None = None, *, url: str = "", token: str = "") -> "Router":
    """Returns a router for this process; call ``close`` in the end, so that its last observations
    are written. It opens and searches without the database, and connects when that answers.

    With ``url`` or ``ROLLOUTS_URL`` it needs no database: a rollouts server gives it the routes and
    takes what it observes. ``token`` or ``ROLLOUTS_TOKEN`` is one with the scope ``router``.
    """
    services, release = _to_search(_settings_of_router(settings, url, token))
    router: Router = late("core.routing", "Router")(
        services, release, late("adapters.client_queries", "build_client_query")
    )
    return router


def open_async_router(
    settings: Settings | None = None, *, url: str = "", token: str = ""
) -> "AsyncRouter":
    """As ``open_router``, for an event loop."""
    settings = _settings_of_router(settings, url, token)
    services, release = _to_search(settings)
    api_key = settings.qdrant_api_key.get_secret_value()
    searches = late("adapters.qdrant_async", "open_searches")(
        settings.qdrant_url, api_key, services.store
    )
    router: AsyncRouter = late("core.routing", "AsyncRouter")(
        services,
        searches,
        release,
        late("adapters.client_queries", "build_client_query"),
    )
    return router


def _settings_of_router(settings: Settings | None, url: str, token: str) -> Settings:
    given = {name: value for name, value in (("url", url), ("token", token)) if value}
    if settings is not None and given:
        raise Refused("open_router takes settings, or url and token, not both")
    found = settings or load_settings(**given)
    if token and not found.url:
        raise Refused("open_router has a token and no url: name the rollouts server")
    return found


def _to_search(settings: Settings) -> tuple["RouterServices", Callable[[], None]]:
    """Returns what a router works with, and what closes it."""
    if settings.url:
        return _to_search_by_http(settings)
    return _to_search_by_database(settings)


def _to_search_by_database(settings: Settings) -> tuple["RouterServices", Callable[[], None]]:
    """It starts no work and changes no tables, and looks at the database once that answers."""
    engine = open_engine(settings.database_url.get_secret_value())
    services = _assemble_services(settings, open_sessions(engine), open_vector_store(settings))
    found: RouterServices = late("core.routing.sql_control_plane", "over_database")(
        services, partial(check_tables, engine, migrations.OLDEST_TO_SEARCH)
    )
    return found, services.close


def _to_search_by_http(settings: Settings) -> tuple["RouterServices", Callable[[], None]]:
    store = open_vector_store(settings)
    control = late("adapters.http_control_plane", "HttpControlPlane")(
        settings.url, settings.token.get_secret_value()
    )
    services: RouterServices = late("core.routing.control_plane", "RouterServices")(
        store=store,
        embedder=_embedder(settings, own_files(settings)),
        indexes=index_reader(settings),
        control=control,
    )

    def close() -> None:
        control.close()
        store.close()

    return services, close


class PerProcess:
    """Services created at first use in each process: what is opened before a fork must not be used
    after it."""

    def __init__(self, make: Callable[[], Services]) -> None:
        self._make = make
        self._made: dict[int, Services] = {}

    def __call__(self) -> Services:
        pid = os.getpid()
        if pid not in self._made:
            self._made = {pid: self._make()}
        return self._made[pid]


if __name__ == "wiring":
    stand_for(__name__)
