"""Fixtures for every test: the servers, the databases, and an environment without the developer's
own settings.

Files of the tests and their servers are in memory if there is room: a power failure does not matter
here, and on a disk Qdrant takes thirty times as long to create a collection. ``TMPDIR`` names
another place.

``ROLLOUTS_TEST_REDIS_URL``, ``ROLLOUTS_TEST_QDRANT_URL`` (with ``ROLLOUTS_TEST_QDRANT_GRPC_PORT``)
and ``ROLLOUTS_TEST_DATABASE_URL`` (a role that may create databases) name existing servers to use.
The named Redis database is emptied; on the other two, tests only touch what they created.
``ROLLOUTS_TEST_PROOF`` makes the tests marked ``proof`` large.
"""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import hypothesis
import pytest
import redis
from sqlalchemy import make_url
from xdist.scheduler import LoadScopeScheduling

from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.core.sanitize import redaction
from tests.databases import DatabasePool, SqlitePool
from tests.logs import keep_logging
from tests.saved_worlds import SavedWorlds
from tests.servers import FRESH, NO_TLS, Elsewhere, Postgres, Qdrant, Redis, fresh_database

pytest_plugins = ["tests.standstill"]
MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's own folder for this
#: Acceptance tests that any process may run: they share no installation, and do not depend on time.
UNHURRIED = {
    "test_backups_killed",
    "test_composition",
    "test_detection",
    "test_detection_several",
    "test_nights",
    "test_pages",
    "test_plain_chain",
}
#: These embed the same texts with the same model, so one process embeds them once.
TOGETHER = {"test_detection", "test_detection_several"}
#: Other tests for the first process: they check how many seconds something takes.
MEASURED = {
    "contract/test_embedders_hosted",
    "contract/test_routing",
    "integration/test_qdrant_outages",
    "integration/test_qdrant_server",
    "integration/test_router_alone",
    "integration/test_waiting_messages",
    "integration/test_web_limits",
    "unit/test_standstill",
}
#: Bytes; the servers of one run write at most 2 GB there.
ROOM = 6 * 2**30
T = TypeVar("T")


def pytest_configure() -> None:
    """Runs before our own code is imported: no settings of the developer, no downloads, no proxy
    for loopback."""
    for name in list(os.environ):
        if name.startswith("ROLLOUTS_") and not name.startswith("ROLLOUTS_TEST_"):
            del os.environ[name]
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # the width of the developer's terminal would change line breaks
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("TMPDIR", str(MEMORY))
        tempfile.tempdir = None  # the variable is read only once, perhaps before this line
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        os.nice(10)  # the first process measures times
    # Without this, every verb and worker that a test starts would compile the product again, and
    # every run would compile the tests.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Processes whose models use every core would wait for each other: with two of them a query took
    # 330 ms without this setting, and takes 15 ms with it.
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    # A deadline per example would measure how busy the machine is.
    hypothesis.settings.register_profile("test", deadline=None)
    hypothesis.settings.register_profile("proof", deadline=None, max_examples=10_000)
    hypothesis.settings.load_profile("proof" if _proof() else "test")


class _ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """With several processes, as in `make test`, the tests of a file stay together. The first
    process, which has priority over the others, gets all tests that measure times, and the
    acceptance tests that share installations. (xdist's own groups are marks, which it writes into
    an attribute that pytest 9.2 no longer reads.)"""

    @property
    def nodes(self) -> list[Any]:
        """Returns the processes by number and not in the order in which they became ready, because
        the first one gets the tests that are collected first."""
        return sorted(self.assigned_work, key=lambda node: int(node.gateway.id.removeprefix("gw")))

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        if file.stem in TOGETHER:
            return "detection"
        shares = file.parent.name == "acceptance" and file.stem not in UNHURRIED
        return "measured" if shares or f"{file.parent.name}/{file.stem}" in MEASURED else str(file)


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keeps the objects of the collection out of the garbage collector until the end. It would
    examine half a million objects again and again, which took a third of the collection's time and
    a tenth of the tests' time. Later it examines new objects less often than by default, when it
    takes another tenth of the tests' time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Resets the logging after each test and the fixtures made for it. A verb or a worker sets
    levels and handlers for the whole process. Without this, a later test would not see the messages
    that it checks. A fixture could not do this: those of a whole file are made before it."""
    with keep_logging():
        return (yield)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes to an empty folder, so that a developer's ``.env``, ``rollouts.yaml`` and
    ``.rollouts`` are neither read nor written."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_secrets_of_others() -> Iterator[None]:
    """Removes the secrets of earlier tests. A process remembers the secrets of its settings, and
    this process runs many tests with different secrets."""
    yield
    redaction.forget_secrets()


@pytest.fixture(scope="session")
def effort() -> Callable[[T, T], T]:
    """Returns ``effort(few, many)``, which chooses how much a test marked ``proof`` tries: few in
    `make test`, many in `make proof`."""
    return lambda few, many: many if _proof() else few


def _proof() -> bool:
    return bool(os.environ.get("ROLLOUTS_TEST_PROOF"))


# --- one server for the whole run: never stop it --------------------------------------------------


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis | Elsewhere]:
    if url := os.environ.get("ROLLOUTS_TEST_REDIS_URL"):
        yield Elsewhere(url)
    else:
        with Redis() as server:
            yield server


@pytest.fixture(scope="session")
def qdrant_server() -> Iterator[Qdrant | Elsewhere]:
    if url := os.environ.get("ROLLOUTS_TEST_QDRANT_URL"):
        yield Elsewhere(url, int(os.environ.get("ROLLOUTS_TEST_QDRANT_GRPC_PORT", "6334")))
    else:
        with Qdrant() as server:
            yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres | Elsewhere]:
    if url := os.environ.get("ROLLOUTS_TEST_DATABASE_URL"):
        yield Elsewhere(url)
    else:
        with Postgres() as server:
            yield server


# --- a clean place on it for one test -------------------------------------------------------------


@pytest.fixture
def redis_url(redis_server: Redis | Elsewhere) -> str:
    """An empty Redis database."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
    return redis_server.url


@pytest.fixture
def qdrant_url(qdrant_server: Qdrant | Elsewhere) -> Iterator[str]:
    """A Qdrant server; collections created during the test are dropped after it, and their aliases
    with them. Snapshots too: they would remain, and a collection with the same name in another test
    would have them (qdrant-facts 10.5)."""
    with httpx.Client(
        base_url=qdrant_server.url, trust_env=False, timeout=30, limits=FRESH, verify=NO_TLS
    ) as client:
        before = _collections(client)
        yield qdrant_server.url
        for name in _collections(client) - before:
            place = f"/collections/{quote(name, safe='')}"
            for snapshot in client.get(f"{place}/snapshots").raise_for_status().json()["result"]:
                client.delete(
                    f"{place}/snapshots/{quote(snapshot['name'], safe='')}"
                ).raise_for_status()
            client.delete(place).raise_for_status()


@pytest.fixture
def qdrant_grpc_port(qdrant_server: Qdrant | Elsewhere) -> int:
    return qdrant_server.grpc_port


@pytest.fixture
def postgres_url(postgres_server: Postgres | Elsewhere) -> Iterator[str]:
    """A new empty PostgreSQL database."""
    with fresh_database(postgres_server.url) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new empty database; the test runs on SQLite and on PostgreSQL."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgres"])
def ready_url(request: pytest.FixtureRequest) -> str:
    """The same with every table. It is a copy, because a migration takes half a second."""
    return str(request.getfixturevalue(f"ready_{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgres"])
def next_url(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """The same for tests that need one database after the other: each call returns a new one, and
    ends the use of the one before."""
    pool = request.getfixturevalue(f"{request.param}_pool")
    lend = pool.lend if request.param == "sqlite" else partial(_lend_patient, pool)
    with ExitStack() as lent:

        def lend_next() -> str:
            lent.close()
            url: str = lent.enter_context(lend())
            return url

        yield lend_next


@pytest.fixture
def ready_sqlite_url(sqlite_pool: SqlitePool) -> Iterator[str]:
    with sqlite_pool.lend() as url:
        yield url


@pytest.fixture
def ready_postgres_url(postgres_pool: DatabasePool) -> Iterator[str]:
    with _lend_patient(postgres_pool) as url:
        yield url


@contextmanager
def _lend_patient(pool: DatabasePool) -> Iterator[str]:
    """A PostgreSQL database with every table, whose connections may stay idle in a transaction for
    a minute. On a busy machine a test may stand still for longer than a worker may, and unlike a
    worker's turn it is not repeated."""
    with pool.lend() as url:
        patient = make_url(url).update_query_dict(
            {"options": "-c idle_in_transaction_session_timeout=60000"}
        )
        yield patient.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def ready_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ready") / "state.db"
    _migrated(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def sqlite_pool(ready_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> SqlitePool:
    return SqlitePool(tmp_path_factory.mktemp("databases"), ready_sqlite)


@pytest.fixture(scope="session")
def postgres_pool(postgres_server: Postgres | Elsewhere) -> Iterator[DatabasePool]:
    with (
        fresh_database(postgres_server.url) as migrated,
        DatabasePool(postgres_server.url, _migrated(migrated)) as pool,
    ):
        yield pool


@pytest.fixture(scope="session")
def saved_worlds(tmp_path_factory: pytest.TempPathFactory) -> SavedWorlds:
    return SavedWorlds(tmp_path_factory.mktemp("worlds"))


def _migrated(url: str) -> str:
    engine = open_engine(url)
    migrate_database(engine)
    # SQLite must write its log into the file, and PostgreSQL copies only a database that nobody
    # uses.
    engine.dispose()
    return url


def _collections(client: httpx.Client) -> set[str]:
    answer = client.get("/collections").raise_for_status().json()
    return {collection["name"] for collection in answer["result"]["collections"]}


# --- a server of one's own, for tests that stop, kill, freeze or flush it -------------------------


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A Redis of its own, which loses everything at a restart."""
    with Redis() as server:
        yield server


@pytest.fixture
def own_qdrant() -> Iterator[Qdrant]:
    with Qdrant() as server:
        yield server
