"""What a collection needs before it is created: figures by its settings, and their description."""

import pytest

from qdrant_rollouts.core.collections import room
from qdrant_rollouts.core.ports import Room, Server

SERVER = Server((1, 16, 3), "http://qdrant")
POINTS = 1_000_000


def schema(size=768, hnsw=None, quantization=None, **vector):
    return {
        "params": {"vectors": {"size": size, "distance": "Cosine", **vector}},
        "hnsw_config": hnsw or {"m": 16},
        "quantization_config": quantization,
    }


@pytest.mark.parametrize(
    ("made", "disk", "memory"),
    [
        (schema(), 2 * (768 * 4 + 128), 768 * 4 + 128),
        (schema(datatype="float16"), 2 * (768 * 2 + 128), 768 * 2 + 128),
        (schema(datatype="uint8"), 2 * (768 + 128), 768 + 128),
        (schema(on_disk=True), 2 * (768 * 4 + 128), 128),
        (schema(hnsw={"m": 32, "on_disk": True}), 2 * (768 * 4 + 256), 768 * 4),
        (schema(hnsw={"m": 0}), 2 * 768 * 4, 768 * 4),
        (
            schema(on_disk=True, quantization={"scalar": {"type": "int8", "always_ram": True}}),
            2 * (768 * 4 + 128 + 768),
            128 + 768,
        ),
        (
            schema(quantization={"binary": {"always_ram": False}}),
            2 * (768 * 4 + 128 + 96),
            768 * 4 + 128,
        ),
    ],
)
def test_a_point_takes_its_numbers_its_links_and_its_copies(made, disk, memory):
    found = room.estimate_need(made, POINTS, 0, SERVER)

    assert (found.disk, found.memory) == (disk * POINTS, memory * POINTS)


def test_payload_stands_on_disk_twice_and_in_memory_only_where_it_must():
    held = {**schema(), "params": {**schema()["params"], "on_disk_payload": False}}
    without = room.estimate_need(schema(), 10, 100, SERVER)
    kept = room.estimate_need(held, 10, 100, SERVER)

    assert without.disk == kept.disk == 10 * 2 * (768 * 4 + 128 + 100)
    assert kept.memory - without.memory == 10 * 100


def test_replicas_are_shared_by_the_nodes_of_a_cluster():
    made = schema()
    made["params"]["replication_factor"] = 2
    cluster = Server((1, 16, 3), "http://qdrant", peers=4)

    assert (
        room.estimate_need(made, POINTS, 0, cluster).disk
        == room.estimate_need(schema(), POINTS, 0, SERVER).disk // 2
    )


def test_the_embedded_store_needs_what_is_stored_and_nothing_else():
    found = room.estimate_need(schema(), 10, 100, Server((1, 16, 3), "here", embedded=True))

    assert (found.disk, found.memory) == (10 * (768 * 4 + 100), 0)


def test_vectors_of_no_single_size_are_left_out_of_an_estimate_from_below():
    made = {"params": {"sparse_vectors": {"words": {}}}}

    assert room.estimate_need(made, 10, 100, SERVER).disk == 10 * 2 * 100


def test_what_is_clearly_too_little_is_said_with_its_figures():
    need = room.estimate_need(schema(), POINTS, 0, SERVER)

    assert room.lacks(need, Room(disk=2**30, memory=2**40)) == (
        "at least 6.0 GiB of disk for 1,000,000 points, and at most 1.0 GiB are free"
    )
    assert "of memory" in room.lacks(need, Room(disk=2**40, memory=2**30))


def test_what_nobody_tells_is_too_little_for_nobody():
    need = room.estimate_need(schema(), POINTS, 0, SERVER)

    assert room.lacks(need, Room()) == ""
    assert room.describe_room(need, Room(disk=2**40)) == (
        "at least 6.0 GiB of disk needed, at most 1,024.0 GiB free; at least 3.0 GiB of memory "
        "needed, the free space is not known"
    )
