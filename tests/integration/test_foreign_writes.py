"""Nobody is told that a write was brought over if it was not: what applications wrote to the live
collection and the new one does not have is counted and named."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import foreign
from qdrant_rollouts.core.collections.foreign import ForeignWrites
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.steps.foreign_writes import describe_writes
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Point, VectorStore
from tests.world import DIMENSION, World, texts

VECTOR = [1.0] + [0.0] * (DIMENSION - 1)


@pytest.fixture
def world(
    tmp_path: Path, qdrant_url: str, qdrant_grpc_port: int, ready_sqlite_url: str
) -> Iterator[World]:
    """``docs`` serves thirty records on a real server."""
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    made.write("docs.jsonl", texts(30))
    declare(made)
    made.deploy("docs")
    made.run()
    yield made
    made.close()


def declare(world: World, **settings: Any) -> None:
    world.declare(
        "docs",
        source="jsonl:docs.jsonl",
        soak={"seconds": 1, "interval_seconds": 1},
        **settings,
    )


def rebuild(
    world: World, meanwhile: Callable[[World, str], None], until: str = "switch"
) -> dict[str, Any]:
    """Deploys, and does ``meanwhile`` with the live collection right before the step ``until``."""
    blue = world.store.aliases()["docs"]
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, until))
    meanwhile(world, blue)
    world.run()
    return world.status(deployment)


def write(world: World, collection: str) -> None:
    """As an application that writes to Qdrant alone: a changed, a new and a deleted point."""
    world.store.upsert(collection, [Point(3, VECTOR, {"id": 3, "text": "changed"})])
    world.store.upsert(collection, [Point(77, VECTOR, {"id": 77, "text": "new"})])
    world.store.delete(collection, [9])


def read_step(status: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in status["steps"] if one["name"] == name)
    return found


@pytest.mark.parametrize("way", ["none", "source"])
def test_what_was_written_beside_the_source_is_counted_and_named(world: World, way: str) -> None:
    declare(world, writes=way)
    status = rebuild(world, write)
    assert status["status"] == "live", status["message"]
    switch = read_step(status, "switch")
    found = switch["output"]["foreign"]
    assert (found["added"], found["changed"], found["deleted"]) == (1, 1, 1)
    assert sorted(found["ids"]) == [3, 9, 77]
    assert "1 changed, 1 deleted, 1 new, of all 30 points" in switch["message"]
    assert "blue_sample" not in switch["output"]


def test_what_the_source_has_too_is_not_told(world: World) -> None:
    def write_both(world: World, collection: str) -> None:
        write(world, collection)
        changed = [*texts(30), {"id": 77, "text": "new"}]
        changed[3]["text"] = "changed"
        del changed[9]
        world.write("docs.jsonl", changed)

    declare(world)
    status = rebuild(world, write_both, until="catch_up")
    switch = read_step(status, "switch")
    assert switch["output"]["foreign"]["changed"] == 0
    assert "green does not have" not in switch["message"]


def test_a_person_decides_where_the_index_file_refuses_such_writes(world: World) -> None:
    declare(world, writes={"way": "none", "foreign": "refuse"})
    blue = world.store.aliases()["docs"]
    status = rebuild(world, write)
    assert status["status"] == "paused"
    assert "1 changed, 1 deleted, 1 new" in status["message"]
    assert "promote switches anyway" in status["message"]
    assert world.store.aliases()["docs"] == blue

    commands.request_action(
        world.services, status["id"], Event.PROMOTE, actor="anna", reason="test data"
    )
    world.run()
    status = world.status(status["id"])
    assert status["status"] == "live", status["message"]
    assert world.store.aliases()["docs"] == status["green"]
    output = read_step(status, "switch")["output"]
    assert (output["approved_by"], output["approved_because"]) == ("anna", "test data")


def test_a_retry_looks_again(world: World) -> None:
    declare(world, writes={"way": "none", "foreign": "refuse"})
    status = rebuild(world, lambda world, blue: world.store.delete(blue, [9]))
    assert status["status"] == "paused"
    [point] = world.store.fetch(status["green"], [9], vectors=True)
    world.store.upsert(str(status["blue"]), [point])
    commands.request_action(world.services, status["id"], Event.RETRY, actor="anna")
    world.run()
    assert world.status(status["id"])["status"] == "live"


def test_a_sample_says_its_share(world: World) -> None:
    blue = world.store.aliases()["docs"]
    before = foreign.take_sample(world.store, blue, most=20)
    assert before.points == 30
    assert len(before.unpack()) == 20
    changed = [Point(n, VECTOR, {"id": n, "text": "changed"}) for n in range(30)]
    world.store.upsert(blue, changed)
    now = foreign.fetch_digests(world.store, blue, list(before.unpack()))
    assert len(foreign.list_differing(before.unpack(), now)) == 20

    told = describe_writes(blue, ForeignWrites(sampled=20, points=30, now=31, changed=20))
    assert "20 changed, 0 deleted, of a sample of 20 of 30 points (66.67%)" in told
    assert "New points cannot be sampled: it had 30 and has 31" in told


def test_what_is_written_to_the_old_collection_after_the_switch_is_told(world: World) -> None:
    declare(world, writes="none")
    status = rebuild(world, write, until="soak")
    assert (
        "2 of all 30 points were written after the switch" in read_step(status, "soak")["message"]
    )


def test_a_live_collection_that_cannot_be_read_stops_nothing(world: World) -> None:
    declare(world, writes={"way": "none", "foreign": "refuse"})
    real = world.store

    class Unreadable:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def fetch(self, collection: str, ids: Any, *, vectors: bool) -> list[Point]:
            if collection == real.aliases()["docs"]:
                raise Unavailable(f"{collection} does not answer")
            return real.fetch(collection, ids, vectors=vectors)

    def break_blue(world: World, blue: str) -> None:
        world.store.delete(blue, [9])
        unreadable: VectorStore = Unreadable()  # type: ignore[assignment]  # passes all on
        world.over(unreadable)

    status = rebuild(world, break_blue)
    assert status["status"] == "live", status["message"]
    assert "nobody knows what was written" in read_step(status, "switch")["message"]
