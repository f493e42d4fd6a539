"""Plans on a real server: the way that it will take, what it needs of the server, and that the
server stays as it is."""

import uuid

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.deployments.commands.planning import plan_deployment
from tests.world import DIMENSION, World, texts


@pytest.fixture
def server(tmp_path, ready_sqlite_url, qdrant_url, qdrant_grpc_port):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    yield made
    made.close()


@pytest.fixture
def alias(server):
    """An alias of its own, whose collections are gone after the test."""
    name = f"docs{uuid.uuid4().hex[:8]}"
    declare(server, name, source=server.write("docs.jsonl", texts(400)))
    return name


def declare(server, alias, **settings):
    validation = {"samples": {"records": 5, "queries": 5}}
    server.declare(alias, validation=validation, **settings)


def deployed(server, alias):
    deployment = server.deploy(alias)
    server.run(turns=400)
    assert server.status(deployment)["status"] == "live", server.status(deployment)["message"]
    return server.step(deployment, "populate")["output"]


def of_server(server):
    names = server.store.collections()
    kept = {name: (server.store.metadata(name), server.store.snapshots(name)) for name in names}
    return kept, server.store.aliases()


def test_the_planned_way_and_numbers_are_those_of_the_deployment(server, alias):
    for settings, way in (
        ({}, "records"),
        ({"source": "live"}, "snapshot"),
        ({"source": "live", "collection": {"hnsw": {"m": 24}}}, "copy"),
        ({"source": "live", "embedding": {"model": "hashing:32", "text": "{text}"}}, "records"),
    ):
        declare(server, alias, **{"source": "jsonl:docs.jsonl", **settings}, accept_new_model=True)
        before = of_server(server)
        told = plan_deployment(server.services, alias)
        assert of_server(server) == before
        filled = deployed(server, alias)
        assert (told["way"], way) == (filled["way"], way), told["why"]
        assert told["records"]["value"] == 400
        assert told["texts"]["low"] <= (filled.get("embedded") or 0) <= told["texts"]["high"]


def test_a_plan_says_that_little_changed_or_why_the_full_way_is_taken(server, alias):
    server.write("docs.jsonl", texts(400))
    assert "delta" not in plan_deployment(server.services, alias)["why"]
    deployed(server, alias)
    told = plan_deployment(server.services, alias)
    assert (told["way"], told["changes"]["value"]) == ("delta", 0)
    changed = texts(402)
    changed[7]["text"] = "another text about python"
    del changed[20:23]
    for records, settings, way, why in (
        (changed, {}, "delta", "about 6 of 400 points would be written or deleted"),
        (changed, {"populate": {"full_every": 1}}, "records", "a fresh index is due after 1"),
        (texts(300), {}, "records", "of 399 points would be written or deleted, more than"),
        (texts(300), {"collection": {"hnsw": {"m": 24}}}, "records", "settings change"),
    ):
        server.write("docs.jsonl", records)
        declare(server, alias, source="jsonl:docs.jsonl", **settings)
        before = of_server(server)
        told = plan_deployment(server.services, alias)
        assert of_server(server) == before
        assert (told["way"], why in told["why"]) == (way, True), told["why"]
        filled = deployed(server, alias)
        assert filled["way"] == way
        if way == "delta":
            assert told["records"]["value"] == filled["expected"] == 399
            assert told["changes"]["value"] == filled["renewed"] + filled["dropped"] == 6
            assert told["texts"]["value"] == filled["embedded"] == 3


def test_the_need_of_disk_and_memory_stands_beside_what_the_server_has(server, alias):
    told = plan_deployment(server.services, alias)
    free = server.store.room()
    assert told["disk"]["free"] == pytest.approx(free.disk, rel=0.1)
    assert told["memory"]["free"] == pytest.approx(free.memory, rel=0.5)
    assert told["disk"]["needed"]["value"] > 400 * DIMENSION * 4
    assert told["memory"]["needed"]["low"] > 0
