"""Vectors that the server makes are made again for the gate's sample, and the temporary collection
is gone afterwards."""

import time
from dataclasses import replace

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import scratch
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import ServerText
from tests.world import World, texts

BM25 = {"server": "qdrant/bm25", "text": "{text}"}
DENSE = {"model": "hashing:64", "text": "{text}"}
SPARSE = {"params": {"sparse_vectors": {"bm25": {"modifier": "idf"}}}, "payload_schema": {}}


@pytest.fixture
def world(tmp_path, ready_sqlite_url, qdrant_url, qdrant_grpc_port):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.declare(
        "docs",
        source=made.write("docs.jsonl", texts(40)),
        embedding=None,
        vectors={"d": DENSE, "bm25": BM25},
    )
    yield made
    made.close()


def ours(store):
    return {name for name in store.collections() if name.startswith("rollouts_scratch_")}


def deployed(world, damage):
    deployment = world.deploy("docs")
    world.run(world.at(deployment, "validate"))
    damage(str(world.status(deployment)["green"]))
    world.run()
    return world.status(deployment)


def keyword_vectors_moved_on(world):
    """Each of the first twenty points has the keyword vector of its neighbour."""

    def damage(green):
        points = {
            point.id: point for point in world.store.fetch(green, list(range(40)), vectors=True)
        }
        moved = [
            replace(points[at], vector={**points[at].vector, "bm25": points[at + 1].vector["bm25"]})
            for at in range(20)
        ]
        world.store.upsert(green, moved)

    return damage


def test_what_the_server_made_of_other_texts_is_seen(world):
    status = deployed(world, keyword_vectors_moved_on(world))
    assert status["status"] == "rolled_back", status["message"]
    row = next(row for row in status["gate"]["checks"] if row["name"] == "round_trip")
    assert row["verdict"] == "block"
    assert "another vector" in row["detail"]
    assert ours(world.store) == set()


def test_what_the_server_made_of_the_same_texts_passes_and_nothing_is_left(world):
    status = deployed(world, lambda green: None)
    assert status["status"] == "live", status["message"]
    assert ours(world.store) == set()


def test_the_server_gives_the_numbers_it_would_make(world):
    spoken = ServerText("alpha beta beta", "qdrant/bm25", {})
    with scratch.open_scratch(world.store, SPARSE, ["bm25"]) as made:
        first, second = made.vectors(
            [{"bm25": spoken}, {"bm25": ServerText("alpha", "qdrant/bm25", {})}]
        )
        (again,) = made.vectors([{"bm25": spoken}])
    assert vectors_by_name(first) == vectors_by_name(again)
    assert len(first["bm25"]["indices"]) == 2
    assert len(second["bm25"]["indices"]) == 1


def test_it_is_dropped_where_the_work_fails(world):
    seen = set()

    def work():
        with scratch.open_scratch(world.store, SPARSE, ["bm25"]):
            seen.update(ours(world.store))
            raise Unavailable("the server is away")

    with pytest.raises(Unavailable):
        work()
    assert len(seen) == 1
    assert ours(world.store) == set()


def test_what_a_killed_process_has_left_is_dropped_by_the_sweep_once_nobody_can_be_using_it(
    world, monkeypatch
):
    world.store.create(
        "rollouts_scratch_of_a_killed_one", SPARSE, {"rollouts_scratch": time.time() - 90_000}
    )
    world.store.create("rollouts_scratch_at_work", SPARSE, {"rollouts_scratch": time.time()})
    world.store.create("rollouts_scratch_of_somebody_else", SPARSE, {})
    assert scratch.drop_old_scratches(world.store) == [
        "rollouts_scratch_of_a_killed_one was left over and is dropped"
    ]
    assert ours(world.store) == {"rollouts_scratch_at_work", "rollouts_scratch_of_somebody_else"}


class Forgetful:
    """A store that answers with fewer points than it was given."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def fetch(self, collection, ids, *, vectors):
        return self._store.fetch(collection, ids[1:], vectors=vectors)


def test_a_server_that_keeps_less_than_it_was_given_proves_nothing(world):
    with (
        pytest.raises(Refused, match="of 1 texts the server kept 0"),
        scratch.open_scratch(Forgetful(world.store), SPARSE, ["bm25"]) as made,
    ):
        made.vectors([{"bm25": ServerText("alpha", "qdrant/bm25", {})}])
