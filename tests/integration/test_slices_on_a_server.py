"""A collection is read in slices by ranges of its ids, as the server sorts them."""

import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.parts import find_cuts, open_part
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.ports import Point, PointId
from tests.world import World

RECORDS = 900
SCHEMA = {"params": {"vectors": {"size": 4, "distance": "Cosine"}}}


def _ids(kind: str) -> list[PointId]:
    numbers: list[PointId] = [number**2 for number in range(RECORDS)]
    uuids: list[PointId] = [str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))) for n in range(RECORDS)]
    return {"numbers": numbers, "UUIDs": uuids, "both": numbers[::2] + uuids[::2]}[kind]


@pytest.fixture
def world(
    tmp_path: Path, ready_sqlite_url: str, qdrant_url: str, qdrant_grpc_port: int
) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    yield made
    made.close()


@pytest.fixture(params=["numbers", "UUIDs", "both"])
def theirs(request: pytest.FixtureRequest, world: World) -> Iterator[tuple[str, list[PointId]]]:
    """A collection of another program, and its ids."""
    name = f"theirs{uuid.uuid4().hex[:8]}"
    ids = _ids(request.param)
    world.store.create(name, SCHEMA, {})
    points = [
        Point(id, [1.0, 0.5, 0.1, number / 1000], {"text": f"text {number} about {id}"})
        for number, id in enumerate(ids)
    ]
    world.store.upsert(name, points)
    yield name, ids
    for found in [one for one in world.store.collections() if name in one]:
        world.store.drop(found)


def test_the_parts_of_a_collection_give_each_point_once_and_are_about_equal(
    world: World, theirs: tuple[str, list[PointId]]
) -> None:
    name, ids = theirs
    source = world.services.source(f"collection:{name}")
    bounds = [None, *find_cuts(source, 4), None]
    parts = [
        [row.point_id for row in open_part(source, start, stop).read(None)]
        for start, stop in itertools.pairwise(bounds)
    ]
    assert sorted(str(id) for part in parts for id in part) == sorted(map(str, ids))
    assert len(parts) == 4
    assert min(map(len, parts)) > len(ids) / 10


def test_a_collection_is_embedded_again_in_slices(
    world: World, theirs: tuple[str, list[PointId]]
) -> None:
    name, ids = theirs
    alias = f"alias-{name}"
    world.declare(
        alias,
        source=f"collection:{name}",
        embedding={"model": "hashing:64", "text": "{text}"},
        populate={"parallel": 3},
        strategy="build_only",
        validation={"checks": {"self_retrieval": False}},
    )
    deployment = world.deploy(alias)
    world.run()
    status = world.status(deployment)
    assert status["status"] == "completed", status["message"]
    assert world.store.count(status["green"]) == len(ids)
    with world.services.sessions() as session:
        rows = session.scalars(select(SliceRow).where(SliceRow.deployment_id == deployment)).all()
    assert len(rows) == 3
    assert all((row.state.get("written") or 0) > 0 for row in rows)
