"""The web process as it is really started, and its stream of events."""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.operations.views.audit_events import find_newest_event
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.http.problems import TYPE
from tests.shell import ROOT, Shell
from tests.world import World, texts

PATIENCE = httpx.Timeout(60, connect=60)


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url)
    for alias in ("docs", "news"):
        made.declare(alias, source=made.write(f"{alias}.jsonl", texts(3)))
    yield made
    made.close()


@pytest.fixture
def client(world):
    settings = Settings()
    with serving.bind_socket(world.services, settings, "127.0.0.1", 0) as door:
        app = make_app(world.services, settings)
        with (
            serving.serve_beside(app, door),
            httpx.Client(
                base_url=serving.socket_url(door), trust_env=False, timeout=PATIENCE
            ) as made,
        ):
            made.door = app.state.door
            yield made


@contextmanager
def listening(client, **asked):
    """What is told, an event at a time."""
    with client.stream("GET", "/api/v1/stream", **asked) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _told(answer.iter_lines())


def _told(lines):
    found = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            found[name] = value
        elif not line and "data" in found:
            yield {**found, "data": json.loads(found["data"])}
            found = {}


def deploy(world, alias="docs"):
    return commands.start_deployment(world.services, alias, actor="anna")


def test_what_happens_is_told_to_who_listens_of_his_index_alone(world, client):
    with listening(client, params={"alias": "docs"}) as told:
        deploy(world, "news")
        started = deploy(world)
        first = next(told)
    assert (first["event"], first["data"]["deployment_id"], first["data"]["alias"]) == (
        "change",
        started,
        "docs",
    )
    assert first["id"] == str(first["data"]["id"])


def test_who_was_cut_off_goes_on_after_what_he_has_heard(world, client):
    deploy(world)
    world.run()
    whole = [event["id"] for event in client.get("/api/v1/events?limit=1000").json()["events"]][
        ::-1
    ]
    with listening(client, headers={"Last-Event-ID": str(whole[2])}) as told:
        heard = [int(next(told)["id"]) for _ in whole[3:]]
    assert heard == whole[3:]
    assert whole[-1] == find_newest_event(world.services, 100)[0]


def test_what_is_no_event_is_refused(client):
    answer = client.get("/api/v1/stream", headers={"Last-Event-ID": "x"})
    assert answer.status_code == 422
    assert client.get("/api/v1/stream?color=red").status_code == 422


def test_the_stream_of_a_token_ends_when_it_is_revoked(world, client):
    presented = tokens.create_token(world.services, "watch", ("read",), actor="anna")["token"]
    client.door.forget()
    with listening(client, headers={"Authorization": f"Bearer {presented}"}) as told:
        tokens.revoke_token(world.services, "watch", actor="anna")
        ends = [event for event in told if event["event"] == "end"]
    assert "revoked" in ends[0]["data"]["detail"]
    assert (ends[0]["data"]["type"], ends[0]["data"]["status"]) == (f"{TYPE}unauthorized", 401)


def test_many_listen_and_each_hears_everything_once(world, client):
    heard = []
    ready = threading.Barrier(9)

    def listen():
        with listening(client, headers={"Last-Event-ID": "0"}) as told:
            ready.wait()
            heard.append([next(told)["id"] for _ in range(3)])

    threads = [threading.Thread(target=listen) for _ in range(8)]
    for thread in threads:
        thread.start()
    ready.wait()
    deploy(world)
    world.run()
    for thread in threads:
        thread.join()
    assert len(heard) == 8
    assert all(ids == heard[0] for ids in heard)


def test_the_web_process_says_where_it_is_and_ends_when_it_is_told(
    tmp_path, qdrant_url, sqlite_url
):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "ROLLOUTS_DATABASE_URL": sqlite_url,
        "ROLLOUTS_QDRANT_URL": qdrant_url,
    }
    command = [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "web", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as web:
        try:
            address = web.stdout.readline().split()[0]
            with httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE) as client:
                assert client.get("/api/v1/me").json()["name"].endswith("@web")
                assert client.get("/api/v1/indexes").json()["indexes"] == []
        finally:
            web.send_signal(signal.SIGTERM)
        assert web.wait(timeout=60) == 0


def test_the_embedded_qdrant_is_served_by_the_process_that_has_it(tmp_path):
    done = Shell(tmp_path)("web", "--port", "0")
    assert (done.exit_code, "rollouts up" in done.stderr) == (2, True)
