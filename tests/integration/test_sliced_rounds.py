"""Several workers share the comparison that brings green up to a live collection."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.merging import BucketDigests
from qdrant_rollouts.core.database.models import StepRow
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.steps.data import CatchUpState, ComparedSlice, RoundState
from qdrant_rollouts.core.deployments.steps.followers import CopyFollower
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Point, PointId
from tests.mortal import Reaper, mortal_world, run_mortal
from tests.world import World

POINTS = 900
SCHEMA = {"params": {"vectors": {"size": 4, "distance": "Cosine"}}}


def build_point(id: PointId, text: str = "as it was") -> Point:
    return Point(id, [1.0, 0.5, 0.1, 0.2], {"text": text})


def list_ids() -> list[PointId]:
    numbers: list[PointId] = [number**2 for number in range(POINTS // 2)]
    return numbers + [str(uuid.uuid5(uuid.NAMESPACE_URL, str(n))) for n in range(POINTS // 2)]


@pytest.fixture
def store(qdrant_url: str, qdrant_grpc_port: int) -> Iterator[ServerStore]:
    made = ServerStore(qdrant_url, "", qdrant_grpc_port)
    yield made
    made.close()


@pytest.fixture
def alias(store: ServerStore) -> Iterator[str]:
    """An alias of another program on a collection of its own."""
    name = f"live{uuid.uuid4().hex[:8]}"
    store.create(f"{name}-blue", SCHEMA, {})
    store.upsert(f"{name}-blue", [build_point(id) for id in list_ids()])
    store.point_alias(name, f"{name}-blue")
    yield name
    for found in [one for one in store.collections() if one.startswith(name)]:
        store.drop(found)


@pytest.fixture
def world(tmp_path: Path, ready_sqlite_url: str, store: ServerStore) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url, store)
    yield made
    made.close()


def deploy(world: World, alias: str, parallel: int, writes: Any = "compare") -> str:
    world.declare(
        alias,
        source="live",
        writes=writes,
        embedding=None,
        collection={"hnsw": {"m": 24}},
        populate={"parallel": parallel},
        soak={"seconds": 1, "interval_seconds": 1},
        validation={"checks": {"self_retrieval": False, "unchanged": False}},
    )
    return world.deploy(alias)


def write_meanwhile(store: ServerStore, alias: str) -> None:
    """Changes, adds and deletes points all over the ids."""
    ids = list_ids()
    changed = [build_point(id, "changed meanwhile") for id in ids[::37]]
    added = [build_point(number, "new") for number in range(10**7, 10**7 + 20)]
    store.upsert(f"{alias}-blue", changed + added)
    store.delete(f"{alias}-blue", ids[5::53])


def read_all(store: ServerStore, collection: str) -> dict[PointId, Any]:
    points, _ = store.scroll(collection, None, 3 * POINTS)
    return {point.id: (list(point.vector), dict(point.payload)) for point in points}


def read_rows(world: World, deployment: str) -> list[SliceRow]:
    query = select(SliceRow).where(SliceRow.deployment_id == deployment)
    with world.services.sessions() as session:
        return list(session.scalars(query.order_by(SliceRow.number)))


def read_state(world: World, deployment: str) -> dict[str, Any]:
    """Returns what ``catch_up`` has saved."""
    mine = StepRow.deployment_id == deployment, StepRow.name == "catch_up"
    with world.services.sessions() as session:
        return dict(session.scalars(select(StepRow).where(*mine)).one().state)


@pytest.mark.parametrize("parallel", [1, 3, 7])
def test_green_gets_what_was_written_and_the_same_is_known_of_blue_with_any_number_of_slices(
    world: World, store: ServerStore, alias: str, parallel: int
) -> None:
    deployment = deploy(world, alias, parallel)
    world.run(until=world.at(deployment, "catch_up"))
    write_meanwhile(store, alias)
    world.run(until=world.at(deployment, "switch"))
    caught_up = world.step(deployment, "catch_up")["output"]
    seen = BucketDigests()
    seen.add(digest_all(store, alias))
    assert caught_up["leader"] == seen.as_text()
    changed = set(list_ids()[::37]) - set(list_ids()[5::53])
    assert caught_up["changed"] == len(changed) + 20
    assert caught_up["removed"] == len(list_ids()[5::53])
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    assert read_all(store, status["green"]) == read_all(store, f"{alias}-blue")


def digest_all(store: ServerStore, alias: str) -> dict[PointId, str]:
    side = CopyFollower(store, f"{alias}-blue", f"{alias}-blue").leading
    points, _ = store.scroll(f"{alias}-blue", None, 3 * POINTS)
    return {point.id: side.digest(point) for point in points}


def test_each_round_has_slices_of_its_own_numbers(
    world: World, store: ServerStore, alias: str
) -> None:
    deployment = deploy(world, alias, 3)
    world.run(until=world.at(deployment, "catch_up"))
    filled = [row.number for row in read_rows(world, deployment)]
    world.run(until=lambda: [row.number for row in read_rows(world, deployment)] != filled)
    assert filled == [0, 1, 2]
    assert [row.number for row in read_rows(world, deployment)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(("if_longer", "cut"), [("heal", True), ("wait", False)])
def test_a_round_that_measures_how_long_writers_will_wait_is_not_cut(
    world: World, alias: str, if_longer: str, *, cut: bool
) -> None:
    writes = {"way": "compare", "if_longer": if_longer, "fence_seconds": 0.001}
    deployment = deploy(world, alias, 3, writes)
    world.run(until=lambda: read_state(world, deployment).get("number") == 1)
    first = [row.number for row in read_rows(world, deployment)]
    world.run(until=lambda: read_state(world, deployment).get("number") == 2)
    later = [row.number for row in read_rows(world, deployment)]
    assert first == [0, 1, 2, 3, 4, 5]
    assert later == [*first, *([6, 7, 8] if cut else [])]


def test_a_collection_with_a_rate_limit_is_read_by_one_worker(
    world: World, store: ServerStore, alias: str
) -> None:
    store.set_strict_mode(f"{alias}-blue", {"enabled": True, "read_rate_limit": 600})
    deployment = deploy(world, alias, 3)
    world.run(until=world.at(deployment, "switch"))
    assert world.step(deployment, "catch_up")["output"]["expected"] == len(list_ids())
    assert read_rows(world, deployment) == []


def test_a_round_that_waited_for_a_rate_took_that_long() -> None:
    begun = CatchUpState(round=RoundState(seconds=2.0))
    delayed = begun.delayed(60.0)
    assert delayed.round is not None
    assert delayed.round.seconds == 62.0
    assert ComparedSlice(round=RoundState(seconds=2.0)).delayed(3.0).round == RoundState(seconds=5)
    assert CatchUpState().delayed(60.0) == CatchUpState()


def test_a_round_that_was_cut_is_left_to_a_release_that_cuts_rounds(
    world: World, store: ServerStore, alias: str
) -> None:
    deployment = deploy(world, alias, 3)
    world.run(until=world.at(deployment, "catch_up"))
    world.run(until=lambda: len(read_rows(world, deployment)) == 6)
    assert [row.state["form"] for row in read_rows(world, deployment)[3:]] == [2, 2, 2]
    assert read_state(world, deployment)["form"] == 2


@pytest.mark.proof
def test_wherever_a_worker_is_killed_green_gets_what_was_written(
    tmp_path: Path,
    ready_sqlite_url: str,
    store: ServerStore,
    alias: str,
    effort: Callable[[int, int], int],
) -> None:
    reaper = Reaper()
    world = mortal_world(tmp_path, ready_sqlite_url, reaper, store)
    try:
        places = catch_up_while_killed(world, reaper, store, alias)
        certain = places * 3 // 4  # whether there is another round depends on the time
        step = max(1, certain // effort(6, 100_000))
        for victim in range(2, certain, step):
            reaper.places = 0
            reaper.victim = victim
            catch_up_while_killed(world, reaper, store, alias)
            assert reaper.places >= victim, "nobody was killed"
    finally:
        world.close()


def catch_up_while_killed(world: World, reaper: Reaper, store: ServerStore, alias: str) -> int:
    """Returns at how many places of ``catch_up`` a worker could be killed. Turns of slices come in
    any order. Afterwards somebody aborts, because only what was compared matters."""
    store.upsert(f"{alias}-blue", [build_point(id) for id in list_ids()])
    deployment = deploy(world, alias, 3)
    world.run(until=world.at(deployment, "catch_up"))
    write_meanwhile(store, alias)
    run_mortal(world, reaper, {"catch_up", "fill"}, world.at(deployment, "switch"))
    status = world.status(deployment)
    assert read_all(store, status["green"]) == read_all(store, f"{alias}-blue")
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    world.run()
    return reaper.places
