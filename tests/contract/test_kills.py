"""Killing the worker at every place where it touches the outside: each call to Qdrant, each commit, each message.

The places are enumerated, not sampled: a first run counts them, then one run for each is killed there, before or after
the act, and somebody else goes on. ``Killed`` is no ``Exception``: nothing in the product can catch it, as nothing can
catch ``kill -9``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from core import commands, engine
from core.lifecycle import Event
from core.ports import Knock, VectorStore
from tests.world import World, texts


class Killed(BaseException):
    """The process is gone."""


class Reaper:
    """Counts places; kills at one of them, once."""

    def __init__(self) -> None:
        self.places = 0
        self.victim: int | None = None
        self.armed = False

    def place(self) -> None:
        if not self.armed:
            return
        self.places += 1
        if self.places == self.victim:
            raise Killed


class Mortal:
    """A store at whose every call the worker may die, before or after it."""

    def __init__(self, store: VectorStore, reaper: Reaper) -> None:
        self._store, self._reaper = store, reaper

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._reaper.place()
            answer = found(*arguments, **named)
            self._reaper.place()
            return answer

        return call


def mortal_world(folder: Path, database_url: str, reaper: Reaper) -> World:
    world = World(folder, database_url)
    world.over(Mortal(world.store, reaper))
    knocker = world.services.knock

    def knock(message: Knock) -> None:
        reaper.place()
        knocker(message)
        reaper.place()

    object.__setattr__(world.services, "knock", knock)
    event.listen(world.engine, "commit", lambda connection: reaper.place())
    event.listen(world.services.sessions, "after_commit", lambda session: reaper.place())
    return world


def go_on(world: World, reaper: Reaper, deployment: str) -> dict[str, Any]:
    """Turns until the end, whoever dies; a dead worker's knock is lost and its lease has to run out."""
    for _ in range(300):
        status = world.status(deployment)
        if status["status"] in ("live", "rolled_back", "needs_operator"):
            return status
        knock = world.broker.take_next()
        if knock is None:
            world.clock.move(world.services.times.lease + 1)
            engine.overdue(world.services)
            continue
        reaper.armed = True
        try:
            world.turn(knock)
        except Killed:
            world.broker.waiting.clear()
        reaper.armed = False
    raise AssertionError("never ended")


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Reaper], World]]:
    """Builds worlds on the same database; each uses an alias of its own."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    made: list[World] = []

    def build(reaper: Reaper) -> World:
        for old in made:
            old.close()
        made[:] = [mortal_world(tmp_path, url, reaper)]
        return made[0]

    yield build
    for world in made:
        world.close()


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


def aborted_in_soak(world: World, reaper: Reaper, alias: str) -> dict[str, Any]:
    world.declare(alias, source=world.write("docs.jsonl", texts(70)))
    go_on(world, Reaper(), world.deploy(alias))
    deployment = world.deploy(alias)
    world.run(until=world.at(deployment, "soak"))
    commands.wish(world.services, deployment, Event.ABORT, actor="anna")
    return go_on(world, reaper, deployment)


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
def test_wherever_the_worker_is_killed_an_abort_ends_rolled_back(
    make: Callable[[Reaper], World], effort: Callable[[int, int], int]
) -> None:
    for world, status in killed_everywhere(make, aborted_in_soak, few=effort(16, 100_000)):
        assert status["status"] == "rolled_back", status["message"]
        assert world.store.aliases()[status["alias"]] == status["blue"]
        assert status["green"] not in world.store.collections()
        assert status["blue"] in world.store.collections()
