"""Versions on a real server: what its metadata keeps, through filling by records and by snapshot,
and adoption."""

import uuid

import httpx
import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import comparing, lineage, version_facts
from qdrant_rollouts.core.collections.stamps import FACTS_KEY, STAMP_KEY, read_stamp
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.deployments.commands import adoption
from tests.world import World, texts


@pytest.fixture
def server(tmp_path, ready_sqlite_url, qdrant_url, qdrant_grpc_port):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    yield made
    made.close()


@pytest.fixture
def alias(server):
    """An alias of its own, gone after the test with its collections."""
    name = f"docs{uuid.uuid4().hex[:8]}"
    server.declare(
        name, source="jsonl:docs.jsonl", validation={"samples": {"records": 5, "queries": 5}}
    )
    return name


def deployed(server, alias, **arguments):
    deployment = server.deploy(alias, **arguments)
    server.run(turns=400)
    status = server.status(deployment)
    assert status["status"] == "live", status["message"]
    return status["green"]


def points(server, collection):
    return [
        (one.id, one.payload, list(one.vector))
        for one in server.store.scroll(collection, None, 100)[0]
    ]


def row(server, collection):
    with server.services.sessions() as session:
        return version_facts.version_as_dict(session.get_one(Version, collection))


def test_the_metadata_carries_stamp_and_facts_whichever_way_a_version_was_filled(server, alias):
    server.write("docs.jsonl", texts(60))
    first = deployed(server, alias)
    stamp = read_stamp(server.store, first)
    second = deployed(server, alias, source=f"collection:{first}")
    for collection, way in ((first, "records"), (second, "snapshot")):
        metadata = server.store.metadata(collection)
        assert metadata[FACTS_KEY] == row(server, collection)
        assert (metadata[FACTS_KEY]["way"], metadata[FACTS_KEY]["points"]) == (way, 60)
        assert metadata[STAMP_KEY]["number"] == metadata[FACTS_KEY]["number"]
    assert read_stamp(server.store, first) == stamp
    assert row(server, first)["schema"] == row(server, second)["schema"]
    seen = comparing.diff_versions(server.services, alias, "1", "2")
    assert (seen["schema"], seen["model"]) == ([], {})
    assert [seen["content"][name]["count"] for name in ("added", "removed", "changed")] == [0, 0, 0]
    assert [one["state"] for one in lineage.list_versions(server.services, alias)["versions"]] == [
        "live",
        "deletion due",
    ]


def test_an_adopted_collection_keeps_its_points_and_settings(server, alias, qdrant_url):
    server.write("docs.jsonl", texts(20))
    first = deployed(server, alias)
    with server.services.sessions.begin() as session:
        session.delete(session.get_one(Version, first))
    with httpx.Client(base_url=qdrant_url, trust_env=False) as client:
        body = {"metadata": {STAMP_KEY: None, FACTS_KEY: None, "owner": "them"}}
        client.patch(f"/collections/{first}", json=body).raise_for_status()
    before = server.store.schema(first), points(server, first)
    answer = adoption.adopt_collection(server.services, alias, actor="anna")
    assert (answer["stamped"], answer["agreed"]) == (True, {"of": 20, "alike": 20})
    assert (server.store.schema(first), points(server, first)) == before
    metadata = server.store.metadata(first)
    assert (metadata["owner"], metadata[FACTS_KEY]) == ("them", row(server, first))
    assert read_stamp(server.store, first).spec == server.indexes[alias].embedding
