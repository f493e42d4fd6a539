"""A collection is read in slices by ranges of its ids, as the server sorts them."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.parts import find_cuts, open_part
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Point, PointId
from tests.mortal import Reaper, mortal_world, run_mortal
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
    filled = [row for row in rows if row.state.get("way")]
    assert len(filled) == 3
    assert all((row.state.get("written") or 0) > 0 for row in filled)


def _copied(world: World, name: str, **settings: Any) -> str:
    """Deploys other settings of a collection, so that its points are copied in three slices."""
    alias = f"alias-{name}"
    world.declare(
        alias,
        source=f"collection:{name}",
        collection={"hnsw": {"m": 24}},
        embedding=None,
        populate={"parallel": 3},
        strategy="build_only",
        validation={"checks": {"self_retrieval": False}},
        **settings,
    )
    return world.deploy(alias)


def _read_all(world: World, collection: str) -> dict[PointId, tuple[Any, Any]]:
    points, _ = world.store.scroll(collection, None, 2000)
    return {point.id: (list(point.vector), point.payload) for point in points}


def _read_rows(world: World, deployment: str) -> list[SliceRow]:
    """Returns the slices of the filling. Comparisons have slices of their own."""
    query = select(SliceRow).where(SliceRow.deployment_id == deployment)
    with world.services.sessions() as session:
        rows = session.scalars(query.order_by(SliceRow.number)).all()
        return [row for row in rows if row.state.get("way")]


def test_points_are_copied_in_slices_unchanged_and_each_by_one(
    world: World, theirs: tuple[str, list[PointId]]
) -> None:
    name, ids = theirs
    deployment = _copied(world, name)
    world.run()
    status = world.status(deployment)
    assert status["status"] == "completed", status["message"]
    assert _read_all(world, status["green"]) == _read_all(world, name)
    output = world.step(deployment, "populate")["output"]
    assert (output["way"], output["written"], output.get("bad")) == ("copy", len(ids), None)
    assert output["progress"]["done"] == len(ids)
    written = [row.state["written"] for row in _read_rows(world, deployment)]
    assert len(written) == 3
    assert sum(written) == len(ids)


@pytest.mark.proof
def test_wherever_the_worker_is_killed_all_points_are_copied(
    tmp_path: Path,
    ready_sqlite_url: str,
    qdrant_url: str,
    qdrant_grpc_port: int,
    effort: Callable[[int, int], int],
) -> None:
    """Kills while the slices are planned and filled, at places spread over all of them."""
    store = ServerStore(qdrant_url, "", qdrant_grpc_port)
    name = f"theirs{uuid.uuid4().hex[:8]}"
    store.create(name, SCHEMA, {})
    store.upsert(name, [Point(id, [1.0, 0.5, 0.1, 0.2], {"text": "t"}) for id in _ids("both")])
    reaper = Reaper()
    world = mortal_world(tmp_path, ready_sqlite_url, reaper, store)
    try:
        places = _copy_while_killed(world, reaper, name)
        for victim in range(2, places + 1, max(1, places // effort(6, 100_000))):
            reaper.places = 0
            reaper.victim = victim
            _copy_while_killed(world, reaper, name)
            assert reaper.places >= victim, "nobody was killed"
    finally:
        for found in [one for one in store.collections() if name in one]:
            store.drop(found)
        world.close()


def _copy_while_killed(world: World, reaper: Reaper, name: str) -> int:
    """Returns at how many places of ``populate`` a worker could be killed. Afterwards somebody
    aborts, because only what was copied matters."""
    deployment = _copied(world, name)
    run_mortal(world, reaper, {"populate", "fill"}, world.at(deployment, "validate"))
    status = world.status(deployment)
    assert world.step(deployment, "populate")["output"]["written"] == len(_ids("both"))
    assert _read_all(world, status["green"]) == _read_all(world, name)
    assert len(_read_rows(world, deployment)) == 3
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    world.run()
    return reaper.places
