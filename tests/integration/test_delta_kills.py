"""Kills the worker that fills a clone of the live collection, at every place where it touches the
outside."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from tests.integration.test_backup_kills import go_on
from tests.mortal import Reaper, mortal_world
from tests.world import World, texts

CHANGED = "another text about python"


@pytest.fixture
def make(
    tmp_path: Path, qdrant_url: str, qdrant_grpc_port: int, ready_sqlite_url: str
) -> Iterator[Callable[[Reaper], World]]:
    made: list[World] = []

    def build(reaper: Reaper) -> World:
        for old in made:
            old.close()
        store = ServerStore(qdrant_url, "", qdrant_grpc_port)
        made[:] = [mortal_world(tmp_path, ready_sqlite_url, reaper, store)]
        return made[0]

    yield build
    for world in made:
        world.close()


def rebuild(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    world.declare(
        alias,
        source=world.write("docs.jsonl", texts(60)),
        soak={"seconds": 1, "interval_seconds": 1},
        writes="none",
    )
    go_on(world, Reaper(), world.deploy(alias))
    changed = texts(62)
    changed[7]["text"] = CHANGED
    changed[40]["lang"] = "en"
    del changed[20:23]
    world.write("docs.jsonl", changed)
    return go_on(world, reaper, world.deploy(alias), within=("create", "populate"))


@pytest.mark.proof
def test_a_worker_that_dies_while_it_refuses_a_bad_record_meets_it_again(
    make: Callable[[Reaper], World], effort: Callable[[int, int], int]
) -> None:
    """The place after the record must not be saved before the refusal is."""

    def refuse(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
        settings = {"soak": {"seconds": 1, "interval_seconds": 1}, "on_bad_record": "fail"}
        world.declare(alias, source=world.write("docs.jsonl", texts(60)), **settings)
        go_on(world, Reaper(), world.deploy(alias))
        world.write("docs.jsonl", [*texts(60), {"id": 99}])
        return go_on(world, reaper, world.deploy(alias), within=("populate",))

    reaper = Reaper()
    refuse(make(reaper), reaper, "count")
    places = reaper.places
    # The undo has turns of its own; the last places of populate are before those.
    for victim in range(places, max(0, places - effort(3, 60)), -1):
        reaper = Reaper()
        reaper.victim = victim
        world = make(reaper)
        seen = refuse(world, reaper, f"bad{victim}")
        assert seen["status"] == "rolled_back", (victim, seen["message"])
        assert "docs.jsonl:61: text: missing" in seen["message"], victim
        count_left_over(world, seen)


def read_plain(world: World, collection: str) -> dict[Any, dict[str, Any]]:
    points, _ = world.store.scroll(collection, None, 1000)
    plain = [{n: v for n, v in one.payload.items() if n != "_rollouts"} for one in points]
    return {one["id"]: one for one in plain}


def count_left_over(world: World, seen: dict[str, Any]) -> int:
    """Returns how many snapshots are left, and removes them."""
    left = world.store.snapshots(seen["blue"])
    for name in left:
        world.store.drop_snapshot(seen["blue"], name)
    return len(left)


@pytest.mark.proof
def test_wherever_the_worker_is_killed_the_clone_is_brought_up_to_the_source_or_given_up(
    make: Callable[[Reaper], World], effort: Callable[[int, int], int]
) -> None:
    reaper = Reaper()
    rebuild(make(reaper), reaper, "count")
    places = reaper.places
    wanted = {one["id"]: one for one in texts(62) if one["id"] not in (20, 21, 22)}
    wanted[7]["text"] = CHANGED
    wanted[40]["lang"] = "en"
    given_up = 0
    for victim in range(1, places + 1, max(1, places // effort(6, 100_000))):
        reaper = Reaper()
        reaper.victim = victim
        world = make(reaper)
        alias = f"docs{victim}"
        seen = rebuild(world, reaper, alias)
        assert reaper.places >= victim, "nobody was killed"
        left_over = count_left_over(world, seen)
        if seen["status"] == "rolled_back":
            given_up += 1
            assert "its worker died or was stopped meanwhile" in seen["message"], victim
            assert seen["green"] not in world.store.collections(), victim
            assert len(read_plain(world, seen["blue"])) == 60, victim
            assert left_over == 0, victim
            seen = go_on(world, Reaper(), world.deploy(alias))
            left_over = count_left_over(world, seen)
        assert seen["status"] == "live", (victim, seen["message"])
        populated = world.step(seen["id"], "populate")["output"]
        assert populated["way"] == "delta", (victim, populated)
        assert populated["expected"] == 59
        assert read_plain(world, seen["green"]) == wanted, victim
        assert left_over <= int("may be left on the server" in populated["summary"]), victim
    # While the server recovers: the request is written down, and its answer is not.
    assert given_up <= 6
