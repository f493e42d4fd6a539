"""Backups of a cluster of two nodes: a snapshot of each shard, from a node that has it to one that
should have it."""

from contextlib import closing

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.deployments import backups
from qdrant_rollouts.core.deployments.commands import request_action
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Event
from tests.backups import back_up, through
from tests.integration.test_backup_kills import (
    backup,
    killed_everywhere,
    list_new_backups,
    told_snapshots,
)
from tests.mortal import mortal_world
from tests.qdrants import wait_until
from tests.servers import QdrantNode
from tests.world import World, texts

SHARDS = 3


@pytest.fixture(scope="module")
def nodes():
    with QdrantNode() as first, QdrantNode(first) as second:
        wait_until(lambda: first.peers() == second.peers() == 2, 60)
        yield first, second


@pytest.fixture
def world(tmp_path, nodes, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, store_of(nodes, [node.url for node in nodes]))
    yield made
    for name in made.store.collections():
        made.store.drop(name)
    made.close()


def store_of(nodes, urls):
    return ServerStore(nodes[0].url, "", nodes[0].grpc_port, urls)


def serve(world, count=90):
    validation = {"queries": ["text asyncio python"], "min_top_score": 0.1}
    source = world.write("docs.jsonl", texts(count))
    world.declare("docs", source=source, validation=validation, collection={"shard_number": SHARDS})
    seen = through(world, world.deploy("docs"))
    assert seen["status"] == "live", seen["message"]
    return seen["green"]


def test_a_backup_has_each_shard_and_leaves_no_snapshot_on_any_node(world):
    live = serve(world)
    backup = back_up(world, "docs")

    manifest = manifests.read_manifest(world.services.shelf, backup)
    assert [file["shard"] for file in manifest.files] == list(range(SHARDS))
    assert (manifest.low, manifest.high, manifests.find_damage(world.services.shelf, manifest)) == (
        90,
        90,
        "",
    )
    assert world.store.snapshots(live) == set()


def test_it_is_verified_and_a_deleted_index_comes_back_through_the_gate(world):
    live = serve(world)
    backup = back_up(world, "docs")

    run = backups.verify_backup(world.services, backup=backup, actor="anna")
    assert through(world, run)["message"].startswith(
        "verified: 90 points, 90 of them compared, settings equal"
    )
    assert not [name for name in world.store.collections() if "verify" in name]

    world.store.drop(live)
    seen = through(world, backups.restore_backup(world.services, backup=backup, actor="anna"))
    assert (seen["status"], seen["gate"]["verdict"]) == ("live", "pass"), seen["message"]
    assert world.store.count("docs") == 90


def test_it_is_read_as_a_source_and_leaves_one_collection(world):
    old = serve(world)
    seen = through(world, world.deploy("docs", source=f"backup:{back_up(world, 'docs')}"))
    assert seen["status"] == "live", seen["message"]
    assert (world.store.count("docs"), world.store.collections()) == (90, {old, seen["green"]})


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_damaged_shard_is_found(world, shard):
    serve(world)
    backup = back_up(world, "docs")
    file = manifests.read_manifest(world.services.shelf, backup).files[shard]
    path = world.folder / "backups" / backup / str(file["name"])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    seen = through(world, backups.verify_backup(world.services, backup=backup, actor="anna"))

    assert (seen["status"], f"{file['name']} has another checksum" in seen["message"]) == (
        "rolled_back",
        True,
    )
    assert not [name for name in world.store.collections() if "verify" in name]


@pytest.mark.parametrize("after", ["snapshot", "fetch"])
def test_an_aborted_backup_leaves_nothing_on_any_node_nor_on_the_shelf(world, after):
    live = serve(world)
    run = backups.create_backup(world.services, "docs", actor="anna")
    world.run(until=world.at(run, "fetch" if after == "snapshot" else "seal"))
    request_action(world.services, run, Event.ABORT, actor="anna")
    assert through(world, run)["status"] == "rolled_back"
    assert (world.store.snapshots(live), (world.folder / "backups" / run).exists()) == (
        set(),
        False,
    )


def test_what_a_cluster_has_backed_up_is_refused_by_a_single_server(
    world, qdrant_url, qdrant_grpc_port
):
    serve(world)
    backup = back_up(world, "docs")
    cluster = world.store
    with closing(ServerStore(qdrant_url, "", qdrant_grpc_port)) as single:
        world.over(single)
        with pytest.raises(Refused, match=r"is of a cluster, .* is a single server"):
            backups.restore_backup(world.services, backup=backup, actor="anna")
    world.over(cluster)


def test_a_cluster_of_which_a_node_is_not_named_is_refused_in_words(world, nodes):
    serve(world)
    all_named = world.store
    for urls in ([], [nodes[0].url]):
        with closing(store_of(nodes, urls)) as store:
            world.over(store)
            with pytest.raises(Refused, match=r"a cluster of 2 nodes.*ROLLOUTS_QDRANT_NODES"):
                backups.create_backup(world.services, "docs", actor="anna")
    with (
        closing(store_of(nodes, [nodes[0].url, nodes[0].url])) as store,
        pytest.raises(Refused, match=r"no node of ROLLOUTS_QDRANT_NODES has shard"),
    ):
        store.parts("docs")
    world.over(all_named)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_the_worker_is_killed_there_is_one_whole_backup_and_no_node_keeps_anything(
    tmp_path, nodes, ready_sqlite_url, effort
):
    made = []

    def make(reaper):
        while made:
            made.pop().close()
        made.append(
            mortal_world(
                tmp_path, ready_sqlite_url, reaper, store_of(nodes, [node.url for node in nodes])
            )
        )
        return made[0]

    known = set()
    for world, seen in killed_everywhere(make, backup, effort(3, 100_000)):
        assert seen["status"] == "live", seen["message"]
        told_snapshots(world, seen)
        kept = list_new_backups(world, known)
        assert [(one["status"], one["points"]) for one in kept] == [("done", 20)]
    for name in made[0].store.collections():
        made[0].store.drop(name)
    made[0].close()
