"""Collections with several vectors for each point: every one is in the new collection, or nothing
is built."""

import uuid

import httpx
import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.records import MARK_KEY
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.errors import Refused
from tests.servers import NO_TLS
from tests.world import World

SIZE = 64
DENSE = {"model": f"hashing:{SIZE}", "text": "{text}"}
BM25 = {"server": "qdrant/bm25", "text": "{text}"}
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa")


def record(number, text=""):
    said = f"article {number} about {WORDS[number % 10]} and {WORDS[number // 10 % 10]}"
    return {"id": number, "text": text or said}


RECORDS = [record(number) for number in range(60)]


@pytest.fixture
def world(tmp_path, ready_sqlite_url, qdrant_url, qdrant_grpc_port):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    yield made
    made.close()


@pytest.fixture
def http(qdrant_url):
    with httpx.Client(base_url=qdrant_url, timeout=30, verify=NO_TLS) as client:
        yield client


@pytest.fixture
def articles(world, http):
    """A hybrid collection of somebody's own script behind an alias; both names, gone after the
    test."""
    alias = f"articles{uuid.uuid4().hex[:8]}"
    collection = f"theirs_{alias}"
    make_theirs(world, http, collection)
    world.store.point_alias(alias, collection)
    yield alias
    for name in [n for n in world.store.collections() if alias in n]:
        world.store.drop(name)


def make_theirs(world, http, collection):
    vectors = {"dense": {"size": SIZE, "distance": "Cosine"}}
    sparse = {"bm25": {"modifier": "idf"}}
    body = {"vectors": vectors, "sparse_vectors": sparse}
    http.put(f"/collections/{collection}", json=body).raise_for_status()
    made = world.services.embedder(spec(DENSE)).documents([one["text"] for one in RECORDS])
    points = [
        {
            "id": one["id"],
            "payload": one,
            "vector": {
                "dense": vector.tolist(),
                "bm25": {"text": one["text"], "model": "qdrant/bm25"},
            },
        }
        for one, vector in zip(RECORDS, made, strict=True)
    ]
    http.put(
        f"/collections/{collection}/points?wait=true", json={"points": points}
    ).raise_for_status()


def spec(embedding):
    return EmbeddingSpec.model_validate(embedding)


def declare(world, alias, records=RECORDS, **settings):
    source = settings.pop("source", None) or world.write("docs.jsonl", records)
    world.declare(alias, source=source, **{"embedding": None, **settings})


def deploy(world, alias, **arguments):
    deployment = world.deploy(alias, **arguments)
    world.run(turns=400)
    return world.status(deployment)


def live(world, alias, **arguments):
    status = deploy(world, alias, **arguments)
    assert status["status"] == "live", status["message"]
    return status["green"]


def by_name(world, collection, name):
    """The vector of this name of each point that has it."""
    points, _ = world.store.scroll(collection, None, 1000)
    return {point.id: point.vector[name] for point in points if name in point.vector}


def keyword_hits(http, collection, word):
    query = {"query": {"text": word, "model": "qdrant/bm25"}, "using": "bm25", "limit": 5}
    found = http.post(f"/collections/{collection}/points/query", json=query).json()
    return [hit["id"] for hit in found["result"]["points"]]


def populated(status):
    return next(step["output"] for step in status["steps"] if step["name"] == "populate")


# --- nothing is lost in silence -------------------------------------------------------------------


def test_a_vector_that_nothing_accounts_for_refuses_the_deployment_before_anything_is_built(
    world, articles
):
    declare(world, articles, embedding={**DENSE, "vector": "dense"})
    before = world.store.collections()
    with pytest.raises(Refused, match=r"bm25 \(60 points\)"):
        world.deploy(articles)
    assert world.store.collections() == before


def test_a_vector_that_the_application_added_itself_is_noticed_at_the_next_rebuild(
    world, articles, http
):
    declare(world, articles, vectors={"dense": DENSE, "bm25": "dropped"})
    green = live(world, articles)
    schema = http.get(f"/collections/{green}").json()["result"]["config"]["params"]
    assert not schema.get("sparse_vectors")


def test_the_server_makes_the_keyword_vector_of_every_point(world, articles, http):
    declare(world, articles, vectors={"dense": DENSE, "bm25": BM25})
    theirs = world.store.aliases()[articles]
    green = live(world, articles)
    assert world.store.count(green, having="bm25") == world.store.count(green, having="dense") == 60
    assert by_name(world, green, "bm25") == by_name(world, theirs, "bm25")
    assert len(keyword_hits(http, green, "gamma")) == 5
    schema = http.get(f"/collections/{green}").json()["result"]["config"]["params"]
    assert schema["sparse_vectors"]["bm25"]["modifier"] == "idf"


def test_a_carried_vector_is_that_of_the_live_point(world, articles):
    declare(world, articles, vectors={"dense": DENSE, "bm25": "carried"})
    theirs = by_name(world, world.store.aliases()[articles], "bm25")
    assert by_name(world, live(world, articles), "bm25") == theirs


def test_a_changed_text_has_nothing_to_carry_and_is_refused_by_its_record(world, articles):
    changed = [*RECORDS[:-1], record(59, "something else entirely")]
    declare(world, articles, changed, vectors={"dense": DENSE, "bm25": "carried"})
    status = deploy(world, articles)
    assert status["status"] == "rolled_back"
    assert "vector bm25 of 59" in status["message"]
    assert "its text has changed" in status["message"]


def test_a_new_record_may_go_without_a_carried_vector_where_the_index_file_says_so(world, articles):
    loose = {"carried": {"when_changed": "drop"}}
    more = [*RECORDS, record(60, "a new one about lambda")]
    declare(world, articles, more, vectors={"dense": DENSE, "bm25": loose})
    status = deploy(world, articles)
    assert status["status"] == "live", status["message"]
    assert world.store.count(status["green"], having="bm25") == 60
    assert populated(status)["by_vector"]["bm25"] == {"points": 60, "carried": 60, "not_carried": 1}


def test_a_vector_of_another_model_leaves_the_others_as_they_were(world, articles):
    declare(world, articles, vectors={"dense": DENSE, "bm25": BM25})
    first = by_name(world, live(world, articles), "bm25")
    other = {"model": "hashing:32", "text": "{text}"}
    declare(world, articles, vectors={"dense": other, "bm25": BM25})
    status = deploy(world, articles)
    assert status["status"] == "live", status["message"]
    assert by_name(world, status["green"], "bm25") == first
    counts = populated(status)["by_vector"]
    assert (counts["dense"]["embedded"], counts["bm25"]["reused"]) == (60, 60)


def test_each_made_vector_has_a_content_hash_of_its_own(world, articles):
    declare(world, articles, vectors={"dense": DENSE, "bm25": BM25})
    points, _ = world.store.scroll(live(world, articles), None, 1)
    assert points[0].payload[MARK_KEY]["hash"].keys() == {"dense", "bm25"}


def test_two_models_side_by_side_are_both_made(world, articles):
    second = {"model": "hashing:32", "text": "{text}"}
    declare(world, articles, vectors={"dense": DENSE, "bm25": BM25, "next": second})
    green = live(world, articles)
    assert world.store.count(green, having="next") == 60
    assert len(next(iter(by_name(world, green, "next").values()))) == 32


# --- given and optional ---------------------------------------------------------------------------


def with_vectors(records, **vectors):
    return [{**one, "vector": vectors} for one in records]


def test_a_given_vector_comes_with_the_record_and_the_others_are_made(world, articles):
    sparse = [{"indices": [1, 100 + at], "values": [0.5, 1.5]} for at in range(len(RECORDS))]
    records = [
        one for at, record in enumerate(RECORDS) for one in with_vectors([record], bm25=sparse[at])
    ]
    declare(
        world, articles, records, vectors={"dense": DENSE, "bm25": "given"}, accept_new_model=True
    )
    green = live(world, articles)
    assert by_name(world, green, "bm25")[3] == sparse[3]
    assert world.store.count(green, having="dense") == 60


def test_a_record_without_its_given_vector_is_a_bad_record(world, articles):
    declare(world, articles, vectors={"dense": DENSE, "bm25": "given"})
    status = deploy(world, articles)
    assert status["status"] == "rolled_back"
    assert "vector.bm25: missing" in status["message"]


def test_an_optional_vector_may_be_missing(world, articles):
    sparse = {"indices": [1, 7], "values": [0.5, 1.5]}
    records = [*with_vectors(RECORDS[:50], bm25=sparse), *RECORDS[50:]]
    declare(world, articles, records, vectors={"dense": DENSE, "bm25": "optional"})
    status = deploy(world, articles)
    assert populated(status)["by_vector"]["bm25"] == {"points": 50}


# --- a collection as the source -------------------------------------------------------------------


def test_what_another_dense_model_does_not_touch_is_kept_from_the_source_collection(
    world, articles, http
):
    theirs = world.store.aliases()[articles]
    other = {"model": "hashing:32", "text": "{text}", "vector": "dense"}
    declare(world, articles, embedding=other, source=f"collection:{theirs}", accept_new_model=True)
    green = live(world, articles)
    assert by_name(world, green, "bm25") == by_name(world, theirs, "bm25")
    assert len(by_name(world, green, "dense")[3]) == 32
    assert len(keyword_hits(http, green, "gamma")) == 5


def test_a_collection_that_is_taken_as_it_is_keeps_every_vector_and_is_judged_by_each(
    world, articles, http
):
    theirs = world.store.aliases()[articles]
    declare(world, articles, source=f"collection:{theirs}")
    status = deploy(world, articles)
    assert status["status"] == "live", status["message"]
    green = status["green"]
    assert by_name(world, green, "bm25") == by_name(world, theirs, "bm25")
    assert by_name(world, green, "dense").keys() == by_name(world, theirs, "dense").keys()
    assert len(keyword_hits(http, green, "gamma")) == 5
    recall = next(row for row in status["gate"]["checks"] if row["name"] == "ann_recall@10")
    assert recall["facts"]["by_vector"].keys() == {"dense", "bm25"}


def test_a_collection_that_becomes_hybrid_is_searched_by_keywords_afterwards(world, articles, http):
    plain = f"plain_{articles}"
    http.put(f"/collections/{plain}", json={"vectors": {"size": SIZE, "distance": "Cosine"}})
    made = world.services.embedder(spec(DENSE)).documents([one["text"] for one in RECORDS])
    points = [
        {"id": one["id"], "payload": one, "vector": vector.tolist()}
        for one, vector in zip(RECORDS, made, strict=True)
    ]
    http.put(f"/collections/{plain}/points?wait=true", json={"points": points}).raise_for_status()
    world.store.point_alias(articles, plain)
    declare(world, articles, vectors={"": DENSE, "bm25": BM25})
    green = live(world, articles)
    assert len(keyword_hits(http, green, "gamma")) == 5
    assert world.store.count(green, having="") == 60


def test_the_embedded_store_makes_no_vector_and_says_what_to_do(tmp_path, ready_sqlite_url):
    world = World(tmp_path, ready_sqlite_url)
    declare(world, "docs", vectors={"": DENSE, "bm25": BM25})
    with pytest.raises(Refused, match=r"embedded Qdrant makes none: set ROLLOUTS_QDRANT_URL"):
        world.deploy("docs")
    world.close()
