"""Kills the worker at every place where it touches the outside: each call to Qdrant, each commit,
each message.

The places are enumerated, not sampled: a first run counts them, then one run for each is killed
there, before or after the act, and another worker continues.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.journal.sql_ledger import open_ledger
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Point
from tests.journaled import write_journaled
from tests.mortal import Killed, MakeWorld, Reaper
from tests.world import DIMENSION, World, texts

CHANGED = "another text about python"
ENDED = ("live", "completed", "rolled_back", "needs_operator")
VECTOR = [1.0] + [0.0] * (DIMENSION - 1)


def go_on(world: World, reaper: Reaper, deployment: str) -> dict[str, Any]:
    """Turns until the end, whoever dies; a dead worker's knock is lost and its lease has to run
    out."""
    for _ in range(300):
        if world.read_status(deployment) in ENDED:
            return world.status(deployment)
        knock = world.broker.take_next()
        if knock is None:
            world.clock.move(world.services.times.lease + 1)
            engine.knock_overdue_turns(world.services)
            continue
        reaper.armed = True
        try:
            world.turn(knock)
        except Killed:
            world.broker.waiting.clear()
        reaper.armed = False
    raise AssertionError("never ended")


@dataclass(frozen=True)
class Scenario:
    """``before`` happens in every world alike; the worker may be killed in ``then``, which returns
    the status at its end."""

    before: Callable[[World], object]
    then: Callable[[World, Reaper], dict[str, Any]]


def serve(world: World) -> None:
    """An index that serves its first version."""
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(70)),
        validation={"queries": ["text asyncio python"], "min_top_score": 0.1},
    )
    world.deploy("docs")
    world.run()


def serve_what_has_grown(world: World) -> None:
    serve(world)
    world.write("docs.jsonl", texts(90))


def deploy(world: World, reaper: Reaper) -> dict[str, Any]:
    return go_on(world, reaper, world.deploy("docs"))


def declare_slices(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(90)), populate={"parallel": 3})


def serve_and_declare_slices(world: World) -> None:
    serve(world)
    declare_slices(world)


def abort_while_slices_are_filled(world: World, reaper: Reaper) -> dict[str, Any]:
    deployment = world.deploy("docs")
    world.run(until=lambda: "slices" in world.step(deployment, "populate")["message"])
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    return go_on(world, reaper, deployment)


def abort_in_soak(world: World, reaper: Reaper) -> dict[str, Any]:
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "soak"))
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    return go_on(world, reaper, deployment)


def serve_what_has_another_record(world: World) -> None:
    serve(world)
    world.write("docs.jsonl", texts(71))


def write_in_the_source(world: World, reaper: Reaper) -> dict[str, Any]:
    """The source gets, changes and loses records before the new collection catches up."""
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "catch_up"))
    world.write("docs.jsonl", [{"id": 3, "text": CHANGED}, *texts(76, start=4)])
    return go_on(world, reaper, deployment)


def serve_for_another_model(world: World) -> None:
    serve(world)
    model = {"model": "hashing:32", "text": "{text}"}
    world.declare("docs", source="live", embedding=model, accept_new_model=True)


def write_in_the_live_collection(world: World, reaper: Reaper) -> dict[str, Any]:
    """The same is written to the live collection, and another model makes the vectors."""
    blue = world.store.aliases()["docs"]
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "catch_up"))
    written = [{"id": 3, "text": CHANGED}, *texts(10, start=70)]
    world.store.upsert(blue, [Point(one["id"], VECTOR, one) for one in written])
    world.store.delete(blue, [0, 1, 2])
    return go_on(world, reaper, deployment)


def serve_by_the_journal(world: World) -> None:
    serve(world)
    model = {"model": "hashing:32", "text": "{text}"}
    world.declare("docs", source="live", writes="journal", embedding=model, accept_new_model=True)


def write_by_the_journal(world: World, reaper: Reaper) -> dict[str, Any]:
    """The same by applications that write down what they write, once before the new collection
    catches up and once after the switch. Then somebody goes back to the older version."""
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "catch_up"))
    write_journaled(world, "docs", texts(10, start=70), gone=[0, 1])
    forward = go_on(world, reaper, deployment)
    assert forward["status"] == "live", forward["message"]
    write_journaled(world, "docs", [{"id": 3, "text": CHANGED}], gone=[2])
    back = commands.start_rollback(world.services, "docs", actor="anna")
    return go_on(world, reaper, back)


def write_after_a_journaled_switch(world: World) -> None:
    serve(world)
    world.declare("docs", source="live", writes="journal")
    world.deploy("docs")
    world.run()
    write_journaled(world, "docs", [{"id": 3, "text": CHANGED}], gone=[2])


def go_back_at_once(world: World, reaper: Reaper) -> dict[str, Any]:
    """What was written since the switch stays behind, and the journal ends."""
    back = commands.start_rollback(world.services, "docs", actor="a", now=True)
    return go_on(world, reaper, back)


def killed_everywhere(
    make: MakeWorld, scenario: Scenario, few: int | None
) -> Iterator[tuple[World, dict[str, Any]]]:
    """The scenario once for each place; ``few`` takes that many, spread over all of them."""
    reaper = Reaper()
    scenario.then(make(reaper, scenario.before), reaper)
    places = reaper.places
    step = 1 if few is None else max(1, places // few)
    for victim in range(1, places + 1, step):
        reaper = Reaper()
        reaper.victim = victim
        world = make(reaper, scenario.before)
        yield world, scenario.then(world, reaper)
        assert reaper.places >= victim, "nobody was killed"


SECOND = Scenario(serve_what_has_grown, deploy)
IN_SLICES = Scenario(declare_slices, deploy)
BACK_AT_ONCE = Scenario(write_after_a_journaled_switch, go_back_at_once)


@pytest.mark.proof
def test_wherever_the_worker_is_killed_the_deployment_ends_live(
    make: MakeWorld, effort: Callable[[int, int], int]
) -> None:
    for world, status in killed_everywhere(make, SECOND, few=effort(24, 100_000)):
        assert status["status"] == "live", status["message"]
        assert world.store.count(status["green"]) == 90
        assert world.store.aliases()[status["alias"]] == status["green"]
        assert [row["event"] for row in status["events"]].count("alias.switched") == 1


@pytest.mark.proof
def test_wherever_the_worker_of_a_slice_is_killed_each_record_is_there_once(
    make: MakeWorld, effort: Callable[[int, int], int]
) -> None:
    for world, status in killed_everywhere(make, IN_SLICES, few=effort(24, 100_000)):
        assert status["status"] == "live", status["message"]
        points, _ = world.store.scroll(status["green"], None, 1000)
        assert sorted(point.payload["id"] for point in points) == list(range(90))
        output = world.step(status["id"], "populate")["output"]
        assert (output["written"], output.get("bad", 0), output.get("note")) == (90, 0, None)


@pytest.mark.proof
@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(serve_what_has_another_record, write_in_the_source),
        Scenario(serve_for_another_model, write_in_the_live_collection),
        Scenario(serve_by_the_journal, write_by_the_journal),
    ],
    ids=["source", "live", "journal"],
)
def test_wherever_the_worker_is_killed_everything_that_was_written_meanwhile_is_served(
    make: MakeWorld, effort: Callable[[int, int], int], scenario: Scenario
) -> None:
    wanted = {one["id"]: one["text"] for one in texts(80) if one["id"] > 2} | {3: CHANGED}
    for world, status in killed_everywhere(make, scenario, few=effort(12, 100_000)):
        assert status["status"] == "live", status["message"]
        points, _ = world.store.scroll(status["green"], None, 1000)
        assert {point.payload["id"]: point.payload["text"] for point in points} == wanted


@pytest.mark.proof
@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(serve, abort_in_soak),
        Scenario(serve_and_declare_slices, abort_while_slices_are_filled),
    ],
    ids=["soak", "slices"],
)
def test_wherever_the_worker_is_killed_an_abort_ends_rolled_back(
    make: MakeWorld, effort: Callable[[int, int], int], scenario: Scenario
) -> None:
    for world, status in killed_everywhere(make, scenario, few=effort(12, 100_000)):
        assert status["status"] == "rolled_back", status["message"]
        assert world.store.aliases()[status["alias"]] == status["blue"]
        assert status["green"] not in world.store.collections()
        assert status["blue"] in world.store.collections()


@pytest.mark.proof
def test_wherever_the_worker_is_killed_a_rollback_at_once_ends_the_journal(
    make: MakeWorld, effort: Callable[[int, int], int]
) -> None:
    few = effort(12, 100_000)
    for world, status in killed_everywhere(make, BACK_AT_ONCE, few=few):
        assert status["status"] == "live", status["message"]
        state = open_ledger(world.services).read_state(status["alias"])
        assert state is not None
        assert not state.journals
        told = {step["name"]: step["message"] for step in status["steps"]}
        assert "left behind, 2 points: 3, 2" in told["switch"]
        assert world.store.aliases()[status["alias"]] == status["green"]
