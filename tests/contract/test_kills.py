"""Kills the worker at every place where it touches the outside: each call to Qdrant, each commit,
each message.

The places are enumerated, not sampled: a first run counts them, then one run for each is killed
there, before or after the act, and another worker continues.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.journal.sql_ledger import open_ledger
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.ports import Point
from tests.journaled import write_journaled
from tests.mortal import Killed, Reaper
from tests.world import DIMENSION, World, texts

CHANGED = "another text about python"
VECTOR = [1.0] + [0.0] * (DIMENSION - 1)


def go_on(world: World, reaper: Reaper, deployment: str) -> dict[str, Any]:
    """Turns until the end, whoever dies; a dead worker's knock is lost and its lease has to run
    out."""
    for _ in range(300):
        status = world.status(deployment)
        if status["status"] in ("live", "completed", "rolled_back", "needs_operator"):
            return status
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


Scenario = Callable[[World, Reaper, str], dict[str, Any]]


def second_deployment(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    world.declare(
        alias,
        source=world.write("docs.jsonl", texts(70)),
        validation={"queries": ["text asyncio python"], "min_top_score": 0.1},
    )
    go_on(world, Reaper(), world.deploy(alias))
    world.write("docs.jsonl", texts(90))
    return go_on(world, reaper, world.deploy(alias))


def filled_in_slices(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    world.declare(alias, source=world.write("docs.jsonl", texts(90)), populate={"parallel": 3})
    return go_on(world, reaper, world.deploy(alias))


def aborted_while_slices_are_filled(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    world.declare(alias, source=world.write("docs.jsonl", texts(70)))
    go_on(world, Reaper(), world.deploy(alias))
    world.declare(alias, source=world.write("docs.jsonl", texts(90)), populate={"parallel": 3})
    deployment = world.deploy(alias)
    world.run(until=lambda: "slices" in world.step(deployment, "populate")["message"])
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    return go_on(world, reaper, deployment)


def aborted_in_soak(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    world.declare(alias, source=world.write("docs.jsonl", texts(70)))
    go_on(world, Reaper(), world.deploy(alias))
    deployment = world.deploy(alias)
    world.run(until=world.at(deployment, "soak"))
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    return go_on(world, reaper, deployment)


def written_in_the_source(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    """The source gets, changes and loses records before the new collection catches up."""
    world.declare(alias, source=world.write("docs.jsonl", texts(70)))
    go_on(world, Reaper(), world.deploy(alias))
    world.write("docs.jsonl", texts(71))
    deployment = world.deploy(alias)
    world.run(until=world.at(deployment, "catch_up"))
    world.write("docs.jsonl", [{"id": 3, "text": CHANGED}, *texts(76, start=4)])
    return go_on(world, reaper, deployment)


def written_in_the_live_collection(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    """The same is written to the live collection, and another model makes the vectors."""
    world.declare(alias, source=world.write("docs.jsonl", texts(70)))
    go_on(world, Reaper(), world.deploy(alias))
    blue = world.store.aliases()[alias]
    model = {"model": "hashing:32", "text": "{text}"}
    world.declare(alias, source="live", embedding=model, accept_new_model=True)
    deployment = world.deploy(alias)
    world.run(until=world.at(deployment, "catch_up"))
    written = [{"id": 3, "text": CHANGED}, *texts(10, start=70)]
    world.store.upsert(blue, [Point(one["id"], VECTOR, one) for one in written])
    world.store.delete(blue, [0, 1, 2])
    return go_on(world, reaper, deployment)


def written_by_the_journal(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    """The same by applications that write down what they write, once before the new collection
    catches up and once after the switch. Then somebody goes back to the older version."""
    world.declare(alias, source=world.write("docs.jsonl", texts(70)))
    go_on(world, Reaper(), world.deploy(alias))
    model = {"model": "hashing:32", "text": "{text}"}
    world.declare(alias, source="live", writes="journal", embedding=model, accept_new_model=True)
    deployment = world.deploy(alias)
    world.run(until=world.at(deployment, "catch_up"))
    write_journaled(world, alias, texts(10, start=70), gone=[0, 1])
    forward = go_on(world, reaper, deployment)
    assert forward["status"] == "live", forward["message"]
    write_journaled(world, alias, [{"id": 3, "text": CHANGED}], gone=[2])
    back = commands.start_rollback(world.services, alias, actor="anna")
    return go_on(world, reaper, back)


def back_at_once_by_the_journal(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    """What was written since the switch stays behind, and the journal ends."""
    world.declare(alias, source=world.write("docs.jsonl", texts(70)))
    go_on(world, Reaper(), world.deploy(alias))
    world.declare(alias, source="live", writes="journal")
    go_on(world, Reaper(), world.deploy(alias))
    write_journaled(world, alias, [{"id": 3, "text": CHANGED}], gone=[2])
    return go_on(world, reaper, commands.start_rollback(world.services, alias, actor="a", now=True))


def killed_everywhere(
    make: Callable[[Reaper], World], scenario: Scenario, few: int | None
) -> Iterator[tuple[World, dict[str, Any]]]:
    """The scenario once for each place; ``few`` takes that many, spread over all of them."""
    reaper = Reaper()
    scenario(make(reaper), reaper, "count")
    places = reaper.places
    step = 1 if few is None else max(1, places // few)
    for victim in range(1, places + 1, step):
        reaper = Reaper()
        reaper.victim = victim
        world = make(reaper)
        yield world, scenario(world, reaper, f"docs{victim}")
        assert reaper.places >= victim, "nobody was killed"


@pytest.mark.proof
def test_wherever_the_worker_is_killed_the_deployment_ends_live(
    make: Callable[[Reaper], World], effort: Callable[[int, int], int]
) -> None:
    for world, status in killed_everywhere(make, second_deployment, few=effort(24, 100_000)):
        assert status["status"] == "live", status["message"]
        assert world.store.count(status["green"]) == 90
        assert world.store.aliases()[status["alias"]] == status["green"]
        assert [row["event"] for row in status["events"]].count("alias.switched") == 1


@pytest.mark.proof
def test_wherever_the_worker_of_a_slice_is_killed_each_record_is_there_once(
    make: Callable[[Reaper], World], effort: Callable[[int, int], int]
) -> None:
    for world, status in killed_everywhere(make, filled_in_slices, few=effort(24, 100_000)):
        assert status["status"] == "live", status["message"]
        points, _ = world.store.scroll(status["green"], None, 1000)
        assert sorted(point.payload["id"] for point in points) == list(range(90))
        output = world.step(status["id"], "populate")["output"]
        assert (output["written"], output.get("bad", 0), output.get("note")) == (90, 0, None)


@pytest.mark.proof
@pytest.mark.parametrize(
    "scenario",
    [written_in_the_source, written_in_the_live_collection, written_by_the_journal],
    ids=["source", "live", "journal"],
)
def test_wherever_the_worker_is_killed_everything_that_was_written_meanwhile_is_served(
    make: Callable[[Reaper], World], effort: Callable[[int, int], int], scenario: Scenario
) -> None:
    wanted = {one["id"]: one["text"] for one in texts(80) if one["id"] > 2} | {3: CHANGED}
    for world, status in killed_everywhere(make, scenario, few=effort(12, 100_000)):
        assert status["status"] == "live", status["message"]
        points, _ = world.store.scroll(status["green"], None, 1000)
        assert {point.payload["id"]: point.payload["text"] for point in points} == wanted


@pytest.mark.proof
@pytest.mark.parametrize(
    "scenario", [aborted_in_soak, aborted_while_slices_are_filled], ids=["soak", "slices"]
)
def test_wherever_the_worker_is_killed_an_abort_ends_rolled_back(
    make: Callable[[Reaper], World], effort: Callable[[int, int], int], scenario: Scenario
) -> None:
    for world, status in killed_everywhere(make, scenario, few=effort(12, 100_000)):
        assert status["status"] == "rolled_back", status["message"]
        assert world.store.aliases()[status["alias"]] == status["blue"]
        assert status["green"] not in world.store.collections()
        assert status["blue"] in world.store.collections()


@pytest.mark.proof
def test_wherever_the_worker_is_killed_a_rollback_at_once_ends_the_journal(
    make: Callable[[Reaper], World], effort: Callable[[int, int], int]
) -> None:
    few = effort(12, 100_000)
    for world, status in killed_everywhere(make, back_at_once_by_the_journal, few=few):
        assert status["status"] == "live", status["message"]
        state = open_ledger(world.services).read_state(status["alias"])
        assert state is not None
        assert not state.journals
        told = {step["name"]: step["message"] for step in status["steps"]}
        assert "left behind, 2 points: 3, 2" in told["switch"]
        assert world.store.aliases()[status["alias"]] == status["green"]
