"""The servers that tests start can be trusted: they start empty, come back where they were, and die
when told."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import redis
from sqlalchemy import create_engine, text

from tests import servers
from tests.own_time import Stopwatch
from tests.servers import Elsewhere, Postgres, Qdrant, Redis, ServerFailed, fresh_database


def put_collection(server, name):
    body = {"vectors": {"size": 4, "distance": "Cosine"}}
    httpx.put(
        f"{server.url}/collections/{name}", json=body, trust_env=False, timeout=30
    ).raise_for_status()


def collections(url):
    answer = httpx.get(f"{url}/collections", trust_env=False).raise_for_status().json()
    return {collection["name"] for collection in answer["result"]["collections"]}


def has_ended(pid):
    return not Path(f"/proc/{pid}").exists()


# --- Redis ----------------------------------------------------------------------------------------


def test_a_killed_redis_comes_back_on_its_port_without_what_it_held(own_redis):
    port = own_redis.port
    pid = own_redis.pid
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("knock", "1")

        own_redis.kill()
        assert has_ended(pid)
        own_redis.start()

        assert own_redis.port == port
        assert client.get("knock") is None


def test_a_persistent_redis_keeps_what_it_held():
    with Redis(persistent=True) as server, redis.Redis.from_url(server.url) as client:
        client.set("knock", "1")
        server.restart()
        assert client.get("knock") == b"1"


def test_flushall_empties_redis(own_redis):
    with redis.Redis.from_url(own_redis.url) as client:
        client.set("knock", "1")
        own_redis.flushall()
        assert client.dbsize() == 0


def test_a_stopped_server_refuses_and_a_frozen_one_hangs(own_redis):
    client = redis.Redis.from_url(own_redis.url, socket_timeout=0.2, retry=None)
    with own_redis.stopped(), pytest.raises(redis.ConnectionError):
        client.ping()
    with own_redis.frozen(), pytest.raises(redis.TimeoutError):
        client.ping()
    assert client.ping()
    client.close()


def test_the_shared_redis_is_empty_for_every_test(redis_server, redis_url):
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


# --- Qdrant ---------------------------------------------------------------------------------------


def test_qdrant_comes_back_on_its_ports_with_its_collections(own_qdrant):
    ports = own_qdrant.ports
    put_collection(own_qdrant, "kept")

    with own_qdrant.stopped(), pytest.raises(httpx.ConnectError):
        collections(own_qdrant.url)

    assert own_qdrant.ports == ports
    assert collections(own_qdrant.url) == {"kept"}


def test_a_killed_qdrant_keeps_its_collections(own_qdrant):
    put_collection(own_qdrant, "kept")
    own_qdrant.kill()
    own_qdrant.start()
    assert collections(own_qdrant.url) == {"kept"}


def test_a_qdrant_with_a_key_turns_strangers_away():
    with Qdrant(api_key="secret") as server:
        assert (
            httpx.get(f"{server.url}/collections", trust_env=False).status_code
            == httpx.codes.UNAUTHORIZED
        )


def test_the_shared_qdrant_answers_on_both_ports(qdrant_url, qdrant_grpc_port):
    assert httpx.get(qdrant_url, trust_env=False).json()["version"].count(".") == 2
    host = urlsplit(qdrant_url).hostname
    assert not servers.port_is_free(qdrant_grpc_port) or host != servers.HOST


# --- databases ------------------------------------------------------------------------------------


def test_every_test_gets_an_empty_database_of_its_own(database_url):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (id INTEGER)"))
        assert connection.execute(text("SELECT count(*) FROM mine")).scalar_one() == 0
    engine.dispose()


def test_a_database_is_gone_after_its_test_even_with_clients_connected(postgres_server):
    with fresh_database(postgres_server.url) as url:
        client = psycopg.connect(url)

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)
    client.close()


def test_postgres_keeps_what_was_committed_before_it_was_killed():
    with Postgres() as server:
        with psycopg.connect(server.url, autocommit=True) as client:
            client.execute("CREATE TABLE kept (id INTEGER)")
        server.kill()
        server.start()
        with psycopg.connect(server.url) as client:
            assert client.execute("SELECT count(*) FROM kept").fetchone() == (0,)


# --- all ------------------------------------------------------------------------------------------


def test_a_server_leaves_neither_process_nor_folder_behind():
    with Redis() as server:
        pid = server.pid
        folder = server.folder
    assert has_ended(pid)
    assert not folder.exists()


def test_a_server_does_not_take_the_answers_of_another_for_its_own():
    with Redis() as server:
        rival = Redis()
        rival.ports = server.ports
        with pytest.raises(ServerFailed, match=f"somebody else listens on port {server.port}"):
            rival.__enter__()
    assert not rival.folder.exists()


def test_a_server_that_dies_at_its_start_says_why_at_once():
    class Wrong(Redis):
        def _command(self):
            return [*super()._command(), "--no-such-option", "1"]

    with Stopwatch() as watch:
        with pytest.raises(ServerFailed, match="no-such-option"):
            Wrong().__enter__()
        assert watch.read() < 10


def test_without_the_qdrant_program_the_message_says_what_to_run(tmp_path):
    class Missing(Qdrant):
        program = tmp_path / "qdrant"

    with pytest.raises(ServerFailed, match="make tools"):
        Missing().__enter__()


@pytest.mark.parametrize(
    ("fixture", "variable"),
    [
        ("redis_server", "ROLLOUTS_TEST_REDIS_URL"),
        ("qdrant_server", "ROLLOUTS_TEST_QDRANT_URL"),
        ("postgres_server", "ROLLOUTS_TEST_DATABASE_URL"),
    ],
)
def test_a_server_named_in_the_environment_is_used_instead_of_an_own_one(
    request, fixture, variable
):
    server = request.getfixturevalue(fixture)
    if os.environ.get(variable):
        assert server == Elsewhere(os.environ[variable], server.grpc_port)
    else:
        assert not has_ended(server.pid)
