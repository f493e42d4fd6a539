"""How many records are embedded at once, if a turn turns out to be too short for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from qdrant_rollouts.core.errors import Interrupted
from qdrant_rollouts.core.ports import Embedder, FloatArray
from tests.world import World, texts


@dataclass
class CutShort:
    """An embedder whose first ``times`` calls are cut short, as a worker's time limit does it;
    notes each call."""

    made: Embedder
    times: int
    asked: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.made, name)

    def documents(self, wanted: Sequence[str]) -> FloatArray:
        self.asked.append(len(wanted))
        if len(self.asked) <= self.times:
            raise Interrupted("the time limit was reached")
        return self.made.documents(wanted)


def cut_short(world: World, times: int) -> CutShort:
    world.declare("docs", source=world.write("docs.jsonl", texts(300)))
    embedder = CutShort(world.services.embedder(world.indexes["docs"].embedding), times)
    world.services = replace(world.services, embedder=lambda spec: embedder)
    return embedder


def test_a_window_that_was_too_much_for_a_turn_is_smaller_when_it_is_repeated(world: World) -> None:
    embedder = cut_short(world, times=2)
    deployment = world.deploy("docs")
    world.run()
    first, second, third, *_ = embedder.asked
    assert first > second > third
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    assert world.store.count(status["green"]) == 300


def test_windows_grow_again_once_one_was_done(world: World) -> None:
    embedder = cut_short(world, times=2)
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "validate"))
    done = embedder.asked[2:]
    assert done[1] > done[0]
    assert sum(done) == 300


@dataclass
class EverySecond(CutShort):
    """One whose every second call is cut short, for good."""

    def documents(self, wanted: Sequence[str]) -> FloatArray:
        self.asked.append(len(wanted))
        if len(self.asked) % 2 == 0:
            raise Interrupted("the machine is wanted elsewhere")
        return self.made.documents(wanted)


def test_workers_that_die_after_each_window_never_end_what_gets_on(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(2000)))
    embedder = EverySecond(world.services.embedder(world.indexes["docs"].embedding), 0)
    world.services = replace(world.services, embedder=lambda spec: embedder)
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "validate"))
    events = [row["event"] for row in world.status(deployment)["events"]]
    assert events.count("populate.interrupted") > world.services.times.crashes
    assert world.status(deployment)["status"] == "running"


def test_the_same_piece_that_ends_five_workers_ends_the_deployment(world: World) -> None:
    embedder = cut_short(world, times=1000)
    deployment = world.deploy("docs")
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert "died or was stopped 5 times" in status["message"]
    assert len(embedder.asked) == world.services.times.crashes
    assert embedder.asked[-1] < embedder.asked[0]
