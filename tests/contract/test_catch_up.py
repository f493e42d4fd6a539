"""What is written while an index is built reaches the new collection, whoever is asked for it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from qdrant_rollouts.core.collections import freezing
from qdrant_rollouts.core.database.write_rows import Freeze
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Health, Point, PointId, VectorStore
from tests.world import DIMENSION, World, texts

VECTOR = [1.0] + [0.0] * (DIMENSION - 1)


@pytest.fixture
def live(world: World) -> World:
    """``docs`` serves thirty records."""
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    return world


def rebuild(world: World, meanwhile: Callable[[], None], until: str = "catch_up") -> dict[str, Any]:
    """Deploys, and does ``meanwhile`` right before the step ``until``."""
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, until))
    meanwhile()
    world.run()
    return world.status(deployment)


def served(world: World) -> dict[PointId, Any]:
    """The text of each point that searches find."""
    points, _ = world.store.scroll(world.store.aliases()["docs"], None, 1000)
    return {point.payload["id"]: point.payload["text"] for point in points}


def write_to(world: World, collection: str) -> None:
    """As an application: a changed, a new and a deleted point."""
    world.store.upsert(collection, [Point(3, VECTOR, {"id": 3, "text": "changed"})])
    world.store.upsert(collection, [Point(77, VECTOR, {"id": 77, "text": "new"})])
    world.store.delete(collection, [9])


def step(status: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in status["steps"] if one["name"] == name)
    return found


# --- from the source ------------------------------------------------------------------------------


def test_what_changed_in_the_source_while_it_was_built_is_served(live: World) -> None:
    changed = texts(40)
    changed[3]["text"] = "another text about python"
    del changed[7]
    status = rebuild(live, lambda: bool(live.write("docs.jsonl", changed)))
    assert status["status"] == "live", status["message"]
    assert served(live) == {one["id"]: one["text"] for one in changed}
    output = step(status, "catch_up")["output"]
    assert (output["changed"], output["removed"]) == (11, 1)


def test_of_two_records_with_an_id_the_first_counts_however_far_apart_they_are(
    live: World,
) -> None:
    """Each piece of the pass has one window here."""
    live.declare("docs", source="jsonl:docs.jsonl", on_bad_record="skip")
    live.change_services(times=replace(live.services.times, turn_time=0.01))
    changed = texts(300)
    changed[250] = {"id": 3, "text": "the second one with this id"}
    status = rebuild(live, lambda: bool(live.write("docs.jsonl", changed)))
    assert status["status"] == "live", status["message"]
    assert served(live)[3] == texts(4)[3]["text"]
    assert len(served(live)) == 299


def test_a_source_that_is_slow_to_its_first_row_is_read_in_few_turns(live: World) -> None:
    opened = live.services.source
    openings = []

    class Slow:
        def __init__(self, source: Any) -> None:
            self.source = source

        def __getattr__(self, name: str) -> Any:
            return getattr(self.source, name)

        def read(self, cursor: Any) -> Iterator[Any]:
            openings.append(cursor)
            time.sleep(0.15)
            yield from self.source.read(cursor)

    def slow_down() -> None:
        live.write("docs.jsonl", texts(100))
        live.change_services(
            source=lambda text: Slow(opened(text)),
            times=replace(live.services.times, turn_time=0.1),
        )

    status = rebuild(live, slow_down)
    assert status["status"] == "live", status["message"]
    assert len(served(live)) == 100
    assert len(openings) <= 12


def test_a_source_that_did_not_change_is_not_read_again(live: World) -> None:
    status = rebuild(live, lambda: None)
    assert step(status, "catch_up")["message"] == "the source has not changed since it was read"


def test_what_changed_in_the_source_after_the_switch_is_served_before_the_watch_ends(
    live: World,
) -> None:
    changed = texts(31)
    changed[3]["text"] = "another text about python"
    status = rebuild(live, lambda: bool(live.write("docs.jsonl", changed)), until="soak")
    assert status["status"] == "live", status["message"]
    assert served(live) == {one["id"]: one["text"] for one in changed}
    assert step(status, "soak")["output"]["late"]["healed"] == 2


def test_what_an_application_wrote_to_the_new_collection_is_never_written_over(
    live: World,
) -> None:
    changed = texts(29)
    changed[3]["text"] = "another text about python"

    def write() -> None:
        green = live.store.aliases()["docs"]
        mine = {"id": 3, "text": "written by an application"}
        live.store.upsert(green, [Point(3, VECTOR, mine), Point(99, VECTOR, {**mine, "id": 99})])
        live.write("docs.jsonl", changed)

    status = rebuild(live, write, until="soak")
    assert status["status"] == "live", status["message"]
    found = served(live)
    assert found[3] == found[99] == "written by an application"
    assert 29 not in found


def test_so_many_records_that_are_gone_wait_for_a_person(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(400)))
    world.deploy("docs")
    world.run()
    status = rebuild(world, lambda: bool(world.write("docs.jsonl", texts(200))))
    assert status["status"] == "paused"
    assert "200 of 400 records are gone" in status["message"]
    assert world.store.count(status["green"]) == 400


def test_nothing_follows_where_the_index_file_says_that_it_is_of_no_matter(live: World) -> None:
    live.declare("docs", source="jsonl:docs.jsonl", writes="none")
    status = rebuild(live, lambda: bool(live.write("docs.jsonl", texts(40))), until="switch")
    assert status["status"] == "live", status["message"]
    assert step(status, "catch_up")["status"] == "skipped"
    assert len(served(live)) == 30


# --- from the live collection ---------------------------------------------------------------------


def test_the_live_collection_is_a_source(live: World) -> None:
    before = live.store.aliases()["docs"]
    live.declare("docs", source="live")
    status = rebuild(live, lambda: None)
    assert status["status"] == "live", status["message"]
    assert status["source"] == f"collection:{before}"
    assert len(served(live)) == 30


def test_nothing_that_was_written_to_the_live_collection_is_missing_or_back(live: World) -> None:
    blue = live.store.aliases()["docs"]
    live.declare("docs", source="live")

    status = rebuild(live, lambda: write_to(live, blue))
    assert status["status"] == "live", status["message"]
    found = served(live)
    assert (found[3], found[77]) == ("changed", "new")
    assert 9 not in found
    assert len(found) == 30


def test_it_is_the_same_when_another_model_makes_the_vectors(live: World) -> None:
    blue = live.store.aliases()["docs"]
    live.declare(
        "docs",
        source="live",
        embedding={"model": "hashing:32", "text": "{text}"},
        accept_new_model=True,
    )

    status = rebuild(live, lambda: write_to(live, blue))
    assert status["status"] == "live", status["message"]
    found = served(live)
    assert (found[3], found[77]) == ("changed", "new")
    assert 9 not in found
    points = live.store.fetch(live.store.aliases()["docs"], [3, 77], vectors=True)
    assert {len(point.vector) for point in points} == {32}


def test_live_is_refused_where_nothing_serves(world: World) -> None:
    world.declare("docs", source="live")
    with pytest.raises(Refused, match="nothing serves docs yet"):
        world.deploy("docs")


def test_a_comparison_is_refused_where_the_records_come_from_elsewhere(live: World) -> None:
    live.declare("docs", source="jsonl:docs.jsonl", writes="compare")
    with pytest.raises(Refused, match="source: live"):
        live.deploy("docs")


def test_another_collection_is_followed_and_not_the_live_one(live: World) -> None:
    live.declare("other", source=live.write("other.jsonl", texts(30, about="threads")))
    live.deploy("other")
    live.run()
    other = live.store.aliases()["other"]
    unlike = {"checks": {"collapse": False}}  # every record says something else
    live.declare("docs", source=f"collection:{other}", validation=unlike)
    written = {"id": 3, "text": "written to the other one"}

    def write() -> None:
        live.store.upsert(other, [Point(3, VECTOR, written)])
        live.store.upsert(live.store.aliases()["docs"], [Point(4, VECTOR, {**written, "id": 4})])

    status = rebuild(live, write)
    assert status["status"] == "live", status["message"]
    found = served(live)
    assert found[3] == "written to the other one"
    assert found[4] == "text 4 about threads and python"


def test_a_first_deployment_follows_the_collection_that_it_reads(live: World) -> None:
    source = live.store.aliases()["docs"]
    live.declare("new", source=f"collection:{source}")
    deployment = live.deploy("new")
    live.run(until=live.at(deployment, "catch_up"))
    live.store.upsert(source, [Point(3, VECTOR, {"id": 3, "text": "changed"})])
    live.run()
    status = live.status(deployment)
    assert status["status"] == "live", status["message"]
    [point] = live.store.fetch(status["green"], [3], vectors=False)
    assert point.payload["text"] == "changed"


# --- while users are on both sides ----------------------------------------------------------------


@pytest.mark.parametrize("source", ["live", "jsonl:docs.jsonl"])
def test_the_new_collection_of_a_canary_gets_what_is_written_between_two_looks(
    live: World, source: str
) -> None:
    stages = [{"percentage": 5, "duration_minutes": 60}]
    live.declare("docs", source=source, strategy="canary", canary={"stages": stages})
    deployment = live.deploy("docs")
    live.run(until=live.at(deployment, "shift"))
    green = live.status(deployment)["green"]
    written = {"id": 3, "text": "written during the canary"}
    live.store.upsert(live.store.aliases()["docs"], [Point(3, VECTOR, written)])
    changed = texts(30)
    changed[3] = written
    live.write("docs.jsonl", changed)

    for _ in range(6):
        knock = live.broker.take_next()
        assert knock is not None
        live.turn(knock)

    [point] = live.store.fetch(green, [3], vectors=False)
    assert point.payload["text"] == "written during the canary"
    assert live.status(deployment)["status"] == "running"


@pytest.mark.parametrize("source", ["live", "jsonl:docs.jsonl"])
def test_the_new_collection_of_a_paused_canary_gets_what_is_written_and_goes_on_by_itself(
    live: World, source: str
) -> None:
    stages = [{"percentage": 5, "duration_minutes": 60}]
    live.declare("docs", source=source, strategy="canary", canary={"stages": stages})
    deployment = live.deploy("docs")
    live.run(until=live.at(deployment, "shift"))
    take_turns(live, 2)
    commands.request_action(live.services, deployment, Event.PAUSE, actor="anna")
    take_turns(live, 2)
    assert live.status(deployment)["status"] == "paused"
    written = {"id": 3, "text": "written during the pause"}
    live.store.upsert(live.store.aliases()["docs"], [Point(3, VECTOR, written)])
    changed = texts(30)
    changed[3] = written
    live.write("docs.jsonl", changed)
    take_turns(live, 6)
    status = live.status(deployment)
    assert status["status"] == "paused"
    [point] = live.store.fetch(status["green"], [3], vectors=False)
    assert point.payload["text"] == "written during the pause"
    commands.request_action(live.services, deployment, Event.RESUME, actor="anna")
    take_turns(live, 3)
    assert live.status(deployment)["status"] == "running"


def take_turns(world: World, count: int) -> None:
    for _ in range(count):
        knock = world.broker.take_next()
        assert knock is not None
        world.turn(knock)


def test_a_canary_is_watched_on_while_its_source_cannot_be_read(live: World) -> None:
    stages = [{"percentage": 5, "duration_minutes": 60}]
    live.declare("docs", source="jsonl:docs.jsonl", strategy="canary", canary={"stages": stages})
    deployment = live.deploy("docs")
    live.run(until=live.at(deployment, "shift"))
    (live.folder / "docs.jsonl").unlink()
    for _ in range(4):
        knock = live.broker.take_next()
        assert knock is not None
        live.turn(knock)
    assert live.status(deployment)["status"] == "running"
    assert "look 4 of" in live.step(deployment, "shift")["message"]


def test_a_freeze_that_cannot_be_lifted_keeps_no_sweep_from_its_work(live: World) -> None:
    blue = live.store.aliases()["docs"]
    with live.services.sessions.begin() as session:
        now = live.clock.now(session)
        session.add(Freeze(collection=blue, deployment_id="d", strict=None, until=now))
    live.clock.move(1)
    live.over(cast("VectorStore", Unwilling(live.store)))
    engine.knock_overdue_turns(live.services)
    with live.services.sessions() as session:
        assert session.get(Freeze, blue) is not None


def test_a_freeze_is_lifted_also_where_the_clock_was_set_back(live: World) -> None:
    blue = live.store.aliases()["docs"]
    freezing.freeze_collection(live.services, blue, "d", 30)
    assert freezing.lift_expired(live.services) == []
    live.clock.move(-7200)
    assert freezing.lift_expired(live.services) == [blue]


class Unwilling:
    """A store whose server refuses to change a strict mode."""

    def __init__(self, store: VectorStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def set_strict_mode(self, collection: str, settings: Any) -> None:
        raise Refused(f"the strict mode of {collection} cannot be changed")


def test_the_looks_of_a_canary_are_taken_by_workers_without_a_model(live: World) -> None:
    stages = [{"percentage": 5, "duration_minutes": 60}]
    live.declare("docs", source="live", strategy="canary", canary={"stages": stages})
    deployment = live.deploy("docs")
    live.run(until=live.at(deployment, "shift"))
    queues = []
    while len(queues) < 4:
        knock = live.broker.take_next()
        assert knock is not None
        queues.append(knock.queue)
        live.turn(knock)
    assert queues == ["control", "bulk", "control", "bulk"]


# --- back -----------------------------------------------------------------------------------------


@pytest.fixture
def changed(world: World) -> World:
    """``docs`` serves 400 records of the live collection before, with another model."""
    world.declare("docs", source=world.write("docs.jsonl", texts(400)))
    world.deploy("docs")
    world.run()
    model = {"model": "hashing:32", "text": "{text}"}
    world.declare("docs", source="live", embedding=model, accept_new_model=True)
    world.deploy("docs")
    world.run()
    return world


def roll_back(world: World, *, now: bool = False, to: str | None = None) -> dict[str, Any]:
    started = commands.start_rollback(world.services, "docs", actor="anna", now=now, to=to)
    world.run()
    return world.status(started)


def test_a_rollback_serves_what_was_written_since(changed: World) -> None:
    green = changed.store.aliases()["docs"]
    write(changed, green, {"id": 3, "text": "changed"}, {"id": 999, "text": "new"})
    changed.store.delete(green, [9])
    status = roll_back(changed)
    assert status["status"] == "live", status["message"]
    found = served(changed)
    assert (found[3], found[999]) == ("changed", "new")
    assert 9 not in found
    points = changed.store.fetch(changed.store.aliases()["docs"], [3, 999], vectors=True)
    assert {len(point.vector) for point in points} == {DIMENSION}


def test_a_rollback_to_a_collection_of_another_program_serves_what_was_written_since(
    world: World,
) -> None:
    """Nobody wrote down which model made its vectors. The version after it is a copy, so both have
    the same ones, and none is needed."""
    schema = {"params": {"vectors": {"size": DIMENSION, "distance": "Cosine"}}}
    world.store.create("theirs", {**schema, "payload_schema": {}}, {})
    world.store.upsert("theirs", [Point(one["id"], VECTOR, one) for one in texts(30)])
    world.store.point_alias("docs", "theirs")
    world.declare("docs", source="live", embedding=None)
    world.deploy("docs")
    world.run()
    green = world.store.aliases()["docs"]
    assert green != "theirs"
    write_to(world, green)
    truth = served(world)
    status = roll_back(world)
    assert status["status"] == "live", status["message"]
    assert world.store.aliases()["docs"] == "theirs"
    assert served(world) == truth


def test_a_rollback_at_once_lists_what_it_leaves_behind(changed: World) -> None:
    write(changed, changed.store.aliases()["docs"], {"id": 3, "text": "changed"})
    status = roll_back(changed, now=True)
    assert status["status"] == "live", status["message"]
    assert served(changed)[3] != "changed"
    assert "1 points of" in step(status, "catch_up")["message"]
    assert step(status, "catch_up")["message"].endswith("stay behind: 3")


def test_a_collection_that_lost_its_points_does_not_empty_the_older_version(
    changed: World,
) -> None:
    green = changed.store.aliases()["docs"]
    changed.store.delete(green, list(range(200)))
    status = roll_back(changed)
    assert status["status"] == "rolled_back"
    assert "points may be lost" in status["message"]
    assert changed.store.count(status["green"]) == 400
    assert roll_back(changed, now=True)["status"] == "live"
    assert len(served(changed)) == 400


class Broken:
    """A store in which one collection cannot be read. ``told``: the server says that it is
    broken."""

    def __init__(self, store: VectorStore, collection: str, *, told: bool) -> None:
        self._store = store
        self._collection = collection
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def health(self, collection: str) -> Health:
        health = self._store.health(collection)
        if self._told and collection == self._collection:
            return replace(health, status="red", optimizer="segment is corrupted")
        return health

    def scroll(self, collection: str, *arguments: Any, **named: Any) -> Any:
        if collection == self._collection:
            raise Unavailable(f"{collection} cannot be read")
        return self._store.scroll(collection, *arguments, **named)


@pytest.mark.parametrize("now", [False, True], ids=["rollback", "at once"])
@pytest.mark.parametrize("told", [False, True], ids=["silent", "red"])
def test_a_rollback_from_a_broken_collection_is_not_held_up_by_it(
    changed: World, now: bool, told: bool
) -> None:
    store = changed.store
    changed.over(cast("VectorStore", Broken(store, store.aliases()["docs"], told=told)))
    status = roll_back(changed, now=now)
    assert status["status"] == "live", status["message"]
    assert store.aliases()["docs"] == status["green"]


@pytest.mark.parametrize("now", [False, True], ids=["could not be read", "at once"])
def test_what_a_rollback_left_behind_is_not_deleted_there_by_the_next_one(
    changed: World, now: bool
) -> None:
    store = changed.store
    left = store.aliases()["docs"]
    write(changed, left, {"id": 77, "text": "only here"})
    if not now:
        changed.over(cast("VectorStore", Broken(store, left, told=True)))
    assert roll_back(changed, now=now)["status"] == "live"
    changed.over(store)
    told = commands.describe_rollback(changed.services, "docs", left)
    assert "never got what was written" in told
    way_out = f"would delete that there; `rollouts rollback docs --to {left} --now`"
    with pytest.raises(Refused, match=way_out):
        roll_back(changed, to=left)
    assert roll_back(changed, now=True, to=left)["status"] == "live"
    assert store.aliases()["docs"] == left
    assert served(changed)[77] == "only here"


def test_an_abort_after_the_switch_brings_back_what_was_written(live: World) -> None:
    live.declare("docs", source="live")
    deployment = live.deploy("docs")
    live.run(until=live.at(deployment, "soak"))
    write(live, live.store.aliases()["docs"], {"id": 3, "text": "changed"})
    commands.request_action(live.services, deployment, Event.ABORT, actor="anna")
    live.run()
    status = live.status(deployment)
    assert status["status"] == "rolled_back"
    assert live.store.aliases()["docs"] == status["blue"]
    assert served(live)[3] == "changed"


def write(world: World, collection: str, *records: dict[str, Any]) -> None:
    size = len(world.store.fetch(collection, [29], vectors=True)[0].vector)
    vector = [1.0] + [0.0] * (size - 1)
    world.store.upsert(collection, [Point(one["id"], vector, one) for one in records])
