"""The composition root: settings in, services out. The only file that knows every concrete thing."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.engine import make_url

from adapters.alerts import open_channels
from adapters.celery import CeleryKnocker, make_app
from adapters.database import DatabaseClock, open_engine, open_sessions, sqlite_file, sqlite_files
from adapters.embeddings import open_embedder
from adapters.migrate import migrate
from adapters.own_files import OwnFiles, named_files
from adapters.qdrant import open_store
from adapters.qdrant_async import open_searches
from adapters.route_channel import open_channel
from adapters.shelf import open_shelf
from adapters.sources import open_source
from core.errors import Interrupted
from core.index_file import IndexSpec, load_index_file
from core.ports import AlertChannel, Knocker
from core.routing import AsyncRouter, Router
from core.services import Services, Times
from core.settings import Settings, load_settings

EMBEDDED_STORE = ".rollouts/qdrant"


def build(settings: Settings, knock: Knocker | None = None, times: Times | None = None) -> Services:
    """Everything this process works with. The database is brought up to date; Qdrant is met at first use."""
    engine = open_engine(settings.database_url.get_secret_value())
    migrate(engine)
    store = open_store(
        settings.qdrant_url,
        settings.qdrant_api_key.get_secret_value(),
        settings.qdrant_grpc_port,
        EMBEDDED_STORE,
        settings.qdrant_nodes,
    )
    shelf = open_shelf(settings.backup_dir)
    own = own_files(settings)
    return Services(
        sessions=open_sessions(engine),
        clock=DatabaseClock(),
        store=store,
        embedder=partial(open_embedder, providers=lambda: load_index_file(settings.config).providers, own=own),
        source=partial(
            open_source,
            roots=roots(settings),
            store=store,
            crawl=lambda: load_index_file(settings.config).crawl,
            shelf=shelf,
            own=own,
        ),
        indexes=index_file(settings),
        knock=knock or CeleryKnocker(make_app(settings)),
        alerts=alerts(settings),
        channel=open_channel(settings.broker_url.get_secret_value()),
        shelf=shelf,
        times=times or Times(),
        interruptions=(SoftTimeLimitExceeded, Interrupted),
    )


def index_file(settings: Settings) -> Callable[[], Mapping[str, IndexSpec]]:
    return lambda: load_index_file(settings.config).indexes


def alerts(settings: Settings) -> Callable[[], Mapping[str, AlertChannel]]:
    return lambda: open_channels(load_index_file(settings.config).alerts)


def roots(settings: Settings) -> tuple[Path, ...]:
    """Folders file sources may be read from: the working directory, the index file's, and those named besides."""
    return (Path.cwd(), settings.config.resolve().parent, *settings.source_roots)


def own_files(settings: Settings) -> OwnFiles:
    """What this process owns on this machine, be it there or not: no request may have it opened."""
    here = Path.cwd()
    database_url = settings.database_url.get_secret_value()
    database = sqlite_file(make_url(database_url))
    files = {here / ".env": "the settings of this program", settings.config.absolute(): "the index file"}
    for path in sqlite_files(database.absolute()) if database else ():
        files[path] = "the state database of this program"
    urls = [database_url, settings.broker_url.get_secret_value()]
    files |= dict.fromkeys(named_files(urls, os.environ), "a key, certificate or password of this program")
    folders = {here / ".rollouts": "the state of this program"}
    if "://" not in settings.backup_dir:
        folders[Path(settings.backup_dir).absolute()] = "the backups of this program"
    return OwnFiles(files, folders)


def open_router(settings: Settings | None = None) -> Router:
    """A router for this process; ``close`` it in the end, so that its last observations are written down."""
    return Router(build(settings or load_settings()))


def open_async_router(settings: Settings | None = None) -> AsyncRouter:
    settings = settings or load_settings()
    services = build(settings)
    searches = open_searches(settings.qdrant_url, settings.qdrant_api_key.get_secret_value(), services.store)
    return AsyncRouter(services, searches)


class PerProcess:
    """Services made at first use in each process: what is opened before a fork must not be used after it."""

    def __init__(self, make: Callable[[], Services]) -> None:
        self._make = make
        self._made: dict[int, Services] = {}

    def __call__(self) -> Services:
        pid = os.getpid()
        if pid not in self._made:
            self._made = {pid: self._make()}
        return self._made[pid]
