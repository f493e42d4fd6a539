"""People see how far a rebuild is behind its writers, and are told once if it does not get
nearer."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views import metrics
from qdrant_rollouts.core.ports import Point, PointId, VectorStore
from tests.world import DIMENSION, World, texts

VECTOR = [1.0] + [0.0] * (DIMENSION - 1)
FASTER = "deployment.writers_faster"


class SlowWhenFrozen:
    """A store with small pages, which come slowly while a collection refuses writes."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._frozen = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def set_strict_mode(self, collection: str, settings: Mapping[str, Any]) -> None:
        self._frozen = settings.get("write_rate_limit") == 1
        self._store.set_strict_mode(collection, settings)

    def scroll(
        self, collection: str, after: PointId | None, limit: int, **parts: Any
    ) -> tuple[list[Point], PointId | None]:
        if self._frozen:
            time.sleep(0.6)
        return self._store.scroll(collection, after, min(limit, 10), **parts)


@pytest.fixture
def world(
    tmp_path: Path, qdrant_url: str, qdrant_grpc_port: int, ready_sqlite_url: str
) -> Iterator[World]:
    """``docs`` serves thirty records on a real server."""
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    declare(made, source=made.write("docs.jsonl", texts(30)))
    made.deploy("docs")
    made.run()
    yield made
    made.close()


def declare(world: World, **settings: Any) -> None:
    world.declare("docs", soak={"seconds": 1, "interval_seconds": 1}, **settings)


def read_samples(world: World) -> dict[str, dict[tuple[str, ...], float]]:
    found = metrics.read_metrics(world.services)
    return {name: dict(family.samples) for name, family in found.items()}


def test_rounds_that_get_no_shorter_are_told_once_with_their_figures(world: World) -> None:
    declare(world, source="live", writes={"way": "compare", "fence_seconds": 0.0001})
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "catch_up"))
    blue = world.store.aliases()["docs"]
    world.store.upsert(blue, [Point(3, VECTOR, {"id": 3, "text": "changed"})])
    world.run()

    status = world.status(deployment)
    assert status["status"] == "paused"
    [told] = [notice for notice in world.told() if notice.what == FASTER]
    assert "points in a round of" in told.value
    assert "0.0001 s" in told.bound
    assert [event["event"] for event in status["events"]].count(FASTER) == 1

    progress = world.step(deployment, "catch_up")["progress"]
    assert progress["rounds"] > 1
    assert progress["lag"] == 0
    assert progress["fence"] > 0
    seen = read_samples(world)
    assert seen["catch_up_rounds"] == {("docs",): progress["rounds"]}
    assert seen["catch_up_lag"] == {("docs",): 0}
    assert seen["catch_up_fence_seconds"] == {("docs",): progress["fence"]}
    assert seen["catch_up_points"] == {("docs", "made"): 0, ("docs", "deleted"): 0}

    commands.request_action(world.services, deployment, Event.RETRY, actor="anna")
    world.run()
    assert [notice.what for notice in world.told()].count(FASTER) == 1


def test_a_finished_switch_says_how_long_writers_were_refused(world: World) -> None:
    declare(world, source="live", writes={"way": "compare", "fence_seconds": 20})
    deployment = world.deploy("docs")
    world.run()
    held = world.step(deployment, "switch")["output"]["held"]
    seen = read_samples(world)
    assert seen["fence_held_seconds"] == {("docs",): held}
    assert seen["catch_up_rounds"] == {}


def test_fences_that_take_too_long_are_told_once(world: World) -> None:
    declare(world, source="live", writes={"way": "compare", "fence_seconds": 1})
    deployment = world.deploy("docs")
    world.over(cast("VectorStore", SlowWhenFrozen(world.store)))
    world.run(until=lambda: FASTER in [notice.what for notice in world.told()])
    [told] = [notice for notice in world.told() if notice.what == FASTER]
    assert "5 times writes were refused for" in told.text
    assert "faster" in world.step(deployment, "switch")["message"]


def test_a_round_over_a_source_says_what_the_one_before_brought(world: World) -> None:
    declare(world, source="jsonl:docs.jsonl", writes={"settle_seconds": 0})
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "catch_up"))
    world.write("docs.jsonl", texts(33))
    world.run(until=lambda: bool(read_samples(world)["catch_up_rounds"]))
    seen = read_samples(world)
    assert seen["catch_up_lag"] == {("docs",): 3}
    assert seen["catch_up_fence_seconds"] == {}
    assert world.step(deployment, "catch_up")["progress"]["made"] == 3
