"""An index is rebuilt while applications write to it all the time, on a real server."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import freezing
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import LeaseLost
from tests.servers import NO_TLS
from tests.world import World, texts
from tests.writers import Writer, compare_with, make_vector, tell

RECORDS = 1500
NOTHING: dict[str, list[int]] = {"missing": [], "stale": [], "resurrected": []}
#: A busy machine may take longer for the last comparison than the default allows.
PATIENT = {"fence_seconds": 20}
#: So many short texts are too much alike for the small model; these tests look only at what is
#: there.
LOOSE = {
    "samples": {"records": 12, "queries": 12},
    "min_top_score": -1.0,
    "checks": {"self_retrieval": False},
}


@pytest.fixture
def world(
    tmp_path: Path, qdrant_url: str, qdrant_grpc_port: int, ready_sqlite_url: str
) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    yield made
    made.close()


@pytest.fixture
def client(qdrant_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=qdrant_url, trust_env=False, timeout=30, verify=NO_TLS) as opened:
        yield opened


def declare(world: World, **settings: Any) -> None:
    world.declare("docs", soak={"seconds": 1, "interval_seconds": 1}, validation=LOOSE, **settings)


@pytest.fixture
def live(world: World) -> World:
    declare(world, source=world.write("docs.jsonl", texts(RECORDS)))
    world.deploy("docs")
    world.run()
    return world


@contextmanager
def writers(
    world: World,
    url: str,
    vector: Callable[[str], list[float]] | None = make_vector,
    count: int = 4,
) -> Iterator[list[Writer]]:
    """Each has ids of its own: some serve already, some are new."""
    each = RECORDS // count
    spans = [
        [*range(n * each, n * each + 300), *range(10_000 * (n + 1), 10_000 * (n + 1) + 50)]
        for n in range(count)
    ]
    there = found(world)
    made = [Writer(url, "docs", span, vector, n, there) for n, span in enumerate(spans)]
    for writer in made:
        writer.start()
    try:
        yield made
    finally:
        for writer in made:
            writer.stop()


def found(world: World) -> dict[int, str]:
    points, _ = world.store.scroll(world.store.aliases()["docs"], None, 10_000)
    return {int(point.payload["id"]): tell(point.payload) for point in points}


@pytest.mark.parametrize("model", ["the same model", "another model"])
def test_nothing_that_was_acknowledged_is_lost_by_a_rebuild_under_writers(
    live: World, qdrant_url: str, model: str
) -> None:
    settings: dict[str, Any] = {"source": "live", "writes": PATIENT}
    if model == "another model":
        settings["embedding"] = {"model": "hashing:32", "text": "{text}"}
        settings["accept_new_model"] = True
    declare(live, **settings)
    with writers(live, qdrant_url, None if "accept_new_model" in settings else make_vector) as made:
        deployment = live.deploy("docs")
        live.run(until=live.at(deployment, "soak"))
        switched = live.step(deployment, "switch")["output"]
    live.run()
    status = live.status(deployment)
    assert status["status"] == "live", status["message"]
    truths = [writer.truth for writer in made]
    assert compare_with(truths, found(live)) == NOTHING
    assert sum(truth.writes for truth in truths) > 50
    assert switched["held"] > 0


def test_a_rollback_brings_back_what_was_written_since(live: World, qdrant_url: str) -> None:
    declare(
        live,
        source="live",
        writes=PATIENT,
        embedding={"model": "hashing:32", "text": "{text}"},
        accept_new_model=True,
    )
    deployment = live.deploy("docs")
    live.run()
    assert live.status(deployment)["status"] == "live"
    with writers(live, qdrant_url, None) as made:
        while sum(writer.truth.writes for writer in made) < 50:
            time.sleep(0.01)
        back = commands.start_rollback(live.services, "docs", actor="anna")
        live.run()
    status = live.status(back)
    assert status["status"] == "live", status["message"]
    assert compare_with([writer.truth for writer in made], found(live)) == NOTHING


# --- the freeze -----------------------------------------------------------------------------------


def test_a_frozen_collection_refuses_writes_and_answers_searches(
    live: World, client: httpx.Client
) -> None:
    blue = live.store.aliases()["docs"]
    before = live.store.schema(blue)
    point = {"id": 1, "vector": make_vector("a"), "payload": {"id": 1, "text": "a"}}
    path = f"/collections/{blue}/points"
    freezing.freeze_collection(live.services, blue, "d", 30)
    assert client.put(path, params={"wait": "true"}, json={"points": [point]}).status_code == 400
    refused = client.post(f"{path}/delete", json={"points": [1]})
    assert refused.status_code == 429
    assert client.post(f"{path}/scroll", json={"limit": 3}).status_code == 200
    assert freezing.lift_freeze(live.services, blue, "d")
    assert client.put(path, params={"wait": "true"}, json={"points": [point]}).status_code == 200
    strict = live.store.schema(blue).get("strict_mode_config") or {}
    assert not strict.get("enabled")
    assert (before.get("strict_mode_config") or {}).get("enabled") in (None, False)


def test_limits_that_were_there_before_a_freeze_are_there_after_it(
    live: World, client: httpx.Client
) -> None:
    blue = live.store.aliases()["docs"]
    limits = {"enabled": True, "max_query_limit": 50, "write_rate_limit": 600}
    live.store.set_strict_mode(blue, limits)
    freezing.freeze_collection(live.services, blue, "d", 30)
    freezing.lift_freeze(live.services, blue, "d")
    strict = live.store.schema(blue)["strict_mode_config"]
    assert {name: strict[name] for name in limits} == limits


def test_limits_that_are_switched_off_do_not_come_into_force_by_a_freeze(
    live: World, client: httpx.Client
) -> None:
    blue = live.store.aliases()["docs"]
    live.store.set_strict_mode(blue, {"enabled": False, "max_query_limit": 1})
    freezing.freeze_collection(live.services, blue, "d", 30)
    answer = client.post(f"/collections/{blue}/points/scroll", json={"limit": 100})
    assert answer.status_code == 200
    freezing.lift_freeze(live.services, blue, "d")
    assert live.store.schema(blue)["strict_mode_config"]["max_query_limit"] == 1


def test_a_freeze_of_a_process_that_died_is_lifted_when_its_time_is_over(live: World) -> None:
    blue = live.store.aliases()["docs"]
    freezing.freeze_collection(live.services, blue, "d", 5)
    assert freezing.lift_expired(live.services) == []
    live.clock.move(6)
    assert freezing.lift_expired(live.services) == [blue]
    assert not (live.store.schema(blue).get("strict_mode_config") or {}).get("enabled")
    assert freezing.lift_expired(live.services) == []


def test_a_freeze_that_may_be_over_lets_nobody_act(live: World) -> None:
    blue = live.store.aliases()["docs"]
    fence = freezing.freeze_collection(live.services, blue, "d", 1)
    with pytest.raises(LeaseLost):
        fence.check(5)
    freezing.lift_freeze(live.services, blue, "d")
