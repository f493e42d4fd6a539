"""A router that is opened while the database and Redis are stopped, and connects when they start:
with real servers."""

import asyncio
import socket
from contextlib import closing, contextmanager

import httpx
import pytest
from qdrant_client import QdrantClient
from sqlalchemy import create_engine

import qdrant_rollouts
from qdrant_rollouts import wiring
from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from tests.own_time import Stopwatch
from tests.qdrants import wait_until
from tests.servers import FRESH, Postgres, free_ports

VECTOR = [1.0, 0.0, 0.0, 0.0]
#: Seconds; a search of a server on this machine takes milliseconds, also where other tests run
#: beside.
AT_ONCE = 1.5


@pytest.fixture
def docs(qdrant_url):
    """An alias and another collection beside it; neither is this program's."""
    with httpx.Client(base_url=qdrant_url, trust_env=False, timeout=30, limits=FRESH) as web:
        for name in ("alone-blue", "alone-green"):
            web.put(
                f"/collections/{name}", json={"vectors": {"size": 4, "distance": "Dot"}}
            ).raise_for_status()
            points = [{"id": 1, "vector": VECTOR, "payload": {"in": name}}]
            where = f"/collections/{name}/points"
            web.put(where, params={"wait": "true"}, json={"points": points}).raise_for_status()
        alias = {"create_alias": {"alias_name": "alone", "collection_name": "alone-blue"}}
        web.post("/collections/aliases", json={"actions": [alias]}).raise_for_status()
    return qdrant_url


@pytest.fixture
def settings(docs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def made(database):
        redis = f"redis://127.0.0.1:{free_ports(1)[0]}/0"
        return Settings(database_url=database, broker_url=redis, qdrant_url=docs, _env_file=None)

    return made


def create_tables(url):
    engine = open_engine(url)
    migrate_database(engine)
    engine.dispose()


@contextmanager
def opened(settings):
    with wiring.open_router(settings) as router:
        yield router
    router._services.store.close()


def test_it_opens_and_searches_without_database_and_redis_and_joins_when_they_come(settings):
    server = Postgres()
    with opened(settings(server.url)) as router:
        found = router.search("alone", VECTOR, "anna")
        assert (found.variant, found.results[0].payload) == ("unrouted", {"in": "alone-blue"})
        assert "did not answer" in router.stats.database
        with server:
            wait_until(lambda: "`rollouts migrate`" in router.stats.database, 120)
            create_tables(server.url)
            wait_until(lambda: not router.stats.unrouted_aliases, 120)
            services = router._services.control.services
            table.set_route(
                services,
                "alone",
                blue="alone-blue",
                green="alone-green",
                share=10_000,
                salt="s",
                stage="d/1",
            )

            wait_until(
                lambda: (
                    router.search("alone", VECTOR, "anna").results[0].payload
                    == {"in": "alone-green"}
                )
            )
            with server.stopped():
                with Stopwatch() as watch:
                    users = [f"user {n}" for n in range(20)]
                    answers = [router.search("alone", VECTOR, user).variant for user in users]
                    assert watch.read() < 20 * AT_ONCE
                assert set(answers) == {"canary"}, "the last known route holds"
                wait_until(lambda: router.stats.database)
            wait_until(lambda: not router.stats.database, 120)


@contextmanager
def served(folder, qdrant_url):
    """A rollouts server with its database in ``folder``; yields its services and its address."""
    database = f"sqlite:///{folder / 'state.db'}"
    settings = Settings(database_url=database, qdrant_url=qdrant_url, _env_file=None)
    services = wiring.build_services(settings)
    with (
        closing(services),
        serving.bind_socket(services, settings, "127.0.0.1", 0) as door,
        serving.serve_beside(make_app(services, settings), door),
    ):
        yield services, serving.socket_url(door)


def split_half(services):
    table.set_route(
        services, "alone", blue="alone-blue", green="alone-green", share=10_000, salt="s", stage="d"
    )


@pytest.fixture
def elsewhere(docs, tmp_path, tmp_path_factory, monkeypatch):
    """The working directory of an application that has only the addresses of servers."""
    monkeypatch.chdir(tmp_path)
    with served(tmp_path_factory.mktemp("server"), docs) as (services, url):
        split_half(services)
        token = tokens.create_token(services, "shop", ["router"], actor="anna")["token"]
        monkeypatch.setenv("ROLLOUTS_QDRANT_URL", docs)
        monkeypatch.setenv("ROLLOUTS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        yield services, url, token


def test_by_http_it_needs_an_address_and_a_token_and_makes_no_file(elsewhere, docs, tmp_path):
    services, url, token = elsewhere
    client = QdrantClient(url=docs, trust_env=False)
    with qdrant_rollouts.open_router(url=url, token=token) as router:
        with router.arm("alone", "anna") as arm:
            answer = client.query_points(arm.collection, query=VECTOR)
            arm.results(answer.points)
        assert (arm.variant, answer.points[0].payload) == ("canary", {"in": "alone-green"})
    client.close()
    with services.sessions() as session:
        (tally,) = traffic.read_tallies(session, "alone", "d").values()
    assert (tally.calls, list(tmp_path.iterdir())) == (1, [])


def test_by_http_the_async_router_finds_both_in_the_environment(elsewhere, monkeypatch):
    _, url, token = elsewhere
    monkeypatch.setenv("ROLLOUTS_URL", url)
    monkeypatch.setenv("ROLLOUTS_TOKEN", token)

    async def life():
        async with qdrant_rollouts.open_async_router() as router:
            return await router.search("alone", VECTOR, "anna")

    assert asyncio.run(life()).collection == "alone-green"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "rollouts:8600"}, "ROLLOUTS_URL: expected http://HOST:PORT"),
        ({"url": "http://anna:hunter2@rollouts:8600"}, "without user and password"),
        ({"token": "rlt_x"}, "has a token and no url"),
        ({"url": "http://localhost:1", "token": "söcret"}, "ROLLOUTS_TOKEN: it holds a character"),
    ],
)
def test_an_address_or_token_that_cannot_be_right_is_refused(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=said) as refused:
        qdrant_rollouts.open_router(**given)
    assert "hunter2" not in str(refused.value)


def test_the_async_router_too(settings):
    server = Postgres()

    async def life():
        async with wiring.open_async_router(settings(server.url)) as router:
            first = await router.search("alone", VECTOR, "anna")
            with server:
                create_tables(server.url)
                await asyncio.to_thread(wait_until, lambda: not router.stats.unrouted_aliases, 120)
                variants = first.variant, (await router.search("alone", VECTOR, "anna")).variant
        return variants

    assert asyncio.run(life()) == ("unrouted", "live")


def test_no_search_waits_for_a_database_that_takes_connections_and_is_silent(settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/postgres"
        with opened(settings(url)) as router:
            assert router.search("alone", VECTOR, "anna").variant == "unrouted"
            took = []
            for _ in range(5):
                with Stopwatch() as watch:
                    router.search("alone", VECTOR, "anna")
                    took.append(watch.read())
            assert max(took) < AT_ONCE


def test_a_database_of_a_newer_program_is_told_of_and_searched_past(settings, tmp_path):
    url = f"sqlite:///{tmp_path / 'newer.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('9999')")
    engine.dispose()
    with opened(settings(url)) as router:
        assert router.search("alone", VECTOR, "anna").variant == "unrouted"
        assert "newer than this program's" in router.stats.database


def test_an_sqlite_database_whose_folder_cannot_be_made_is_joined_once_it_can(settings, tmp_path):
    blocked = tmp_path / "state"
    blocked.write_text("a file where the folder should be")
    with opened(settings(f"sqlite:///{blocked / 'state.db'}")) as router:
        assert router.search("alone", VECTOR, "anna").variant == "unrouted"
        assert router.stats.database
        blocked.unlink()
        create_tables(f"sqlite:///{blocked / 'state.db'}")
        wait_until(lambda: router.search("alone", VECTOR, "anna").variant == "live", 60)
