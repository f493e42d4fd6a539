"""A search by an agent is the query that the index declares, as on the command line: several
vectors, fused as it says."""

import json

import httpx
import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.operations.asking.compare import compare_answers
from tests.agents import over_http, over_stdio, served
from tests.shell import Shell
from tests.world import World

WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")
VECTORS = {
    "dense": {"model": "hashing:64", "text": "{text}"},
    "bm25": {"server": "qdrant/bm25", "text": "{text}"},
}
QUERY = "article about gamma and kappa"
BOTH = [{"vector": "dense", "limit": 20}, {"vector": "bm25", "limit": 5}]
DECLARED = {
    "rrf": {"prefetch": BOTH, "fusion": "rrf"},
    "dbsf": {"prefetch": BOTH, "fusion": "dbsf"},
    "bm25": {"prefetch": [{"vector": "bm25"}]},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory, ready_sqlite, qdrant_server):
    """A live hybrid index on a Qdrant server, and a folder that declares it."""
    folder = tmp_path_factory.mktemp("hybrid")
    (folder / "state.db").write_bytes(ready_sqlite.read_bytes())
    url = f"sqlite:///{folder / 'state.db'}"
    made = World(folder, url, ServerStore(qdrant_server.url, "", qdrant_server.grpc_port))
    # Texts of different lengths, so that no two results have the same score.
    records = [
        {"id": number, "text": f"article {number} about {first} and {second}" + " more" * number}
        for number, (first, second) in enumerate((a, b) for a in WORDS for b in WORDS[:6])
    ]
    made.declare(
        "hybrid", source=made.write("docs.jsonl", records), vectors=VECTORS, embedding=None
    )
    deployment = made.deploy("hybrid")
    made.run(turns=400)
    assert made.status(deployment)["status"] == "live", made.status(deployment)["message"]
    yield made
    for name in made.store.collections():
        if name.startswith("hybrid_"):
            made.store.drop(name)
    made.close()


def ask_qdrant(world, url, declared):
    """The ids and scores that Qdrant itself answers to the declared query."""
    (dense,) = world.services.embedder(world.indexes["hybrid"].models[0]).documents([QUERY])
    queries = {"dense": dense.tolist(), "bm25": {"text": QUERY, "model": "qdrant/bm25"}}
    parts = [
        {"query": queries[one["vector"]], "using": one["vector"], "limit": one.get("limit", 10)}
        for one in declared["prefetch"]
    ]
    query = parts[0]
    if len(parts) > 1:
        query = {"prefetch": parts, "query": {"fusion": declared["fusion"]}}
    answer = httpx.post(
        f"{url}/collections/hybrid/points/query", json={**query, "limit": 10}, trust_env=False
    )
    points = answer.raise_for_status().json()["result"]["points"]
    return {point["id"]: pytest.approx(point["score"], abs=1e-5) for point in points}


def scores(found):
    return {hit["id"]: hit["score"] for hit in found["results"]}


@pytest.mark.parametrize("name", DECLARED)
def test_agents_and_the_command_line_get_what_the_declared_query_finds(
    world, qdrant_server, monkeypatch, name
):
    declared = DECLARED[name]
    world.declare("hybrid", vectors=VECTORS, embedding=None, search=declared)
    index = {"vectors": VECTORS, "search": declared, "source": "jsonl:docs.jsonl"}
    (world.folder / "rollouts.yaml").write_text(json.dumps({"indexes": {"hybrid": index}}))
    settings = {
        "ROLLOUTS_DATABASE_URL": f"sqlite:///{world.folder / 'state.db'}",
        "ROLLOUTS_QDRANT_URL": qdrant_server.url,
        "ROLLOUTS_QDRANT_GRPC_PORT": str(qdrant_server.grpc_port),
    }

    def search(client):
        return client.call_tool("search_with_alias", {"query": QUERY, "alias": "hybrid"})

    with served(world) as url:
        by_http = over_http(url, search).structured_content
    by_stdio, errors = over_stdio(world.folder, search, **settings)
    shown = Shell(world.folder)("search", "hybrid", QUERY, "--json", **settings)
    expected = ask_qdrant(world, qdrant_server.url, declared)
    assert len(expected) == 10
    assert scores(by_http) == expected
    assert scores(by_stdio.structured_content) == expected, errors
    assert scores(json.loads(shown.stdout)) == expected


@pytest.mark.parametrize("name", DECLARED)
def test_a_version_that_is_asked_beside_another_answers_the_declared_query(
    world, qdrant_server, name
):
    world.declare("hybrid", vectors=VECTORS, embedding=None, search=DECLARED[name])
    found = compare_answers(world.services, "hybrid", QUERY)["left"]
    assert {one["record"]: one["score"] for one in found["answers"]} == ask_qdrant(
        world, qdrant_server.url, DECLARED[name]
    )


def test_each_declaration_is_another_query(world, qdrant_server):
    found = [ask_qdrant(world, qdrant_server.url, declared) for declared in DECLARED.values()]
    assert all(one != other for one in found for other in found if one is not other)
