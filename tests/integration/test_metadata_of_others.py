"""Metadata that another program gave to a collection, on a real server: each version has it, next
to ours."""

import httpx
import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.stamps import FACTS_KEY, STAMP_KEY, Stamp
from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.deployments.commands import adoption
from qdrant_rollouts.core.errors import Refused
from tests.backups import back_up, through
from tests.qdrants import plain, points
from tests.world import DIMENSION, World, texts

THEIRS = {
    "team": "search",
    "owners": ["anna", "ben"],
    "limits": {"cost": 1.5, "on": False},
    "ä ö": None,
}
SOAK = {"seconds": 1, "interval_seconds": 1}
KEPT = {key: value for key, value in THEIRS.items() if value is not None}


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    yield made
    made.close()


@pytest.fixture
def give(qdrant_url):
    """Gives a collection metadata as its owner would."""

    def patch(collection, metadata):
        body = {"metadata": metadata}
        httpx.patch(f"{qdrant_url}/collections/{collection}", json=body).raise_for_status()

    return patch


def serve(world, give, **settings):
    world.declare("docs", source=world.write("docs.jsonl", texts(70)), soak=SOAK)
    seen = through(world, world.deploy("docs"))
    assert seen["status"] == "live", seen["message"]
    give(seen["green"], THEIRS)
    return seen["green"]


def others(world, collection):
    metadata = world.store.metadata(collection)
    return {
        key: value
        for key, value in metadata.items()
        if key not in (STAMP_KEY, FACTS_KEY) and value is not None
    }


def deployed(world, alias="docs", **arguments):
    seen = through(world, world.deploy(alias, **arguments))
    assert seen["status"] == "live", seen["message"]
    return seen


@pytest.mark.parametrize(
    ("way", "settings"),
    [
        ("records", {"source": "jsonl:docs.jsonl", "populate": {"delta_at_most": 0}}),
        ("delta", {"source": "jsonl:docs.jsonl"}),
        ("snapshot", {}),
        ("copy", {"collection": {"hnsw": {"m": 24}}}),
    ],
)
def test_it_is_kept_by_every_way_of_filling_and_ours_is_the_new_versions(
    world, give, way, settings
):
    blue = serve(world, give)
    world.declare("docs", soak=SOAK, **{"source": f"collection:{blue}", **settings})

    seen = deployed(world)

    assert [step["output"]["way"] for step in seen["steps"] if step["name"] == "populate"] == [way]
    metadata = world.store.metadata(seen["green"])
    assert others(world, seen["green"]) == KEPT
    assert Stamp.of(metadata).deployment == metadata[FACTS_KEY]["deployment"] == seen["id"]
    assert metadata[FACTS_KEY]["number"] == 2


def test_a_first_version_has_it_from_the_collection_it_is_made_of_and_nothing_of_ours(world, give):
    blue = serve(world, give)
    adopted = {"adopted_by": "ben", "note": "of another version"}
    give(blue, {FACTS_KEY: {**world.store.metadata(blue)[FACTS_KEY], **adopted}})
    world.declare("articles", source=f"collection:{blue}", soak=SOAK)

    seen = deployed(world, "articles")

    assert others(world, seen["green"]) == KEPT
    assert adopted.keys().isdisjoint(world.store.metadata(seen["green"])[FACTS_KEY])


def test_backups_keep_it_whether_they_are_restored_or_read(world, give):
    serve(world, give)
    backup = back_up(world, "docs")
    restored = through(world, backups.restore_backup(world.services, backup=backup, actor="anna"))
    world.declare("articles", source=f"backup:{backup}", soak=SOAK)
    read = deployed(world, "articles")

    assert restored["status"] == "live", restored["message"]
    assert others(world, restored["green"]) == others(world, read["green"]) == KEPT


def foreign(world, give, metadata):
    world.store.create("theirs", plain(DIMENSION), {})
    world.store.upsert("theirs", points(30, DIMENSION))
    give("theirs", metadata)
    world.store.point_alias("docs", "theirs")
    return world.store.metadata("theirs")


def test_a_collection_that_is_adopted_keeps_it(world, give):
    foreign(world, give, THEIRS)
    world.declare("docs", embedding=None)

    adoption.adopt_collection(world.services, "docs", actor="anna")

    assert others(world, "theirs") == KEPT
    assert FACTS_KEY in world.store.metadata("theirs")


@pytest.mark.parametrize("key", [STAMP_KEY, FACTS_KEY])
@pytest.mark.parametrize("value", ["weekly", {"team": "search"}, 7, []])
def test_a_key_of_ours_that_is_used_by_others_is_refused_before_anything_is_changed(
    world, give, key, value
):
    before = foreign(world, give, {key: value})
    world.declare("docs", source=world.write("docs.jsonl", texts(5)))
    there = world.store.collections()

    for act in (
        lambda: world.deploy("docs"),
        lambda: world.deploy("docs", source="collection:theirs"),
        lambda: adoption.adopt_collection(world.services, "docs", actor="anna", trust=True),
    ):
        with pytest.raises(Refused, match=f"theirs has other metadata under {key},"):
            act()

    assert world.store.metadata("theirs") == before
    assert world.store.collections() == there
