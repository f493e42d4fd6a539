"""A clone of the live collection is made while something goes wrong, or while others work on the
same collection. On a real server, for only a server can clone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from qdrant_rollouts.core.errors import Interrupted
from qdrant_rollouts.core.ports import Embedder, FloatArray
from tests.backups import through
from tests.integration.test_delta import (
    declare,
    deploy,
    populated,
    some_changed,
    world,
)
from tests.world import World, texts

__all__ = ["world"]


@pytest.fixture
def live(world: World) -> World:
    """A hundred records serve, and some have changed since."""
    world.write("docs.jsonl", texts(100))
    declare(world)
    deploy(world)
    world.write("docs.jsonl", some_changed())
    return world


# --- one rule for records with the same id --------------------------------------------------------


@pytest.mark.parametrize("apart", [1, 80], ids=["in one window", "in two windows"])
def test_the_first_record_with_an_id_counts_in_the_look_too(world: World, apart: int) -> None:
    records = texts(100)
    records.insert(3 + apart, {"id": 3, "text": "the second one of this id"})
    world.write("docs.jsonl", records)
    declare(world, on_bad_record="skip", populate={"delta_at_most": 0.001})
    deploy(world)
    output = populated(world, deploy(world))
    assert (output["way"], output["renewed"], output["bad"]) == ("delta", 0, 1)
    [kept] = world.store.fetch(world.store.aliases()["docs"], [3], vectors=False)
    assert kept.payload["text"] == texts(4)[3]["text"]


# --- a slow model ---------------------------------------------------------------------------------


@dataclass
class FewAtOnce:
    """A model so slow that the time limit of a worker comes first if it gets more than ``most``
    texts at once."""

    made: Embedder
    most: int
    asked: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> object:
        return getattr(self.made, name)

    def documents(self, wanted: Sequence[str]) -> FloatArray:
        self.asked.append(len(wanted))
        if len(wanted) > self.most:
            raise Interrupted("the time limit was reached")
        return self.made.documents(wanted)


def test_a_slow_model_embeds_few_at_once_and_what_it_has_embedded_is_kept(live: World) -> None:
    live.write("docs.jsonl", [*texts(19, about="trees"), *texts(81, start=19)])
    model = FewAtOnce(live.services.embedder(live.indexes["docs"].models[0]), 3)
    live.change_services(embedder=lambda spec: model)
    seen = through(live, live.deploy("docs"), until="populate")
    assert seen["status"] == "running", seen["message"]
    assert populated(live, seen)["way"] == "delta"
    done = [size for size in model.asked if size <= 3]
    assert sum(done) == 19
    assert len(model.asked) - len(done) > 2


def test_a_slice_that_is_too_short_for_a_window_keeps_what_was_embedded(live: World) -> None:
    live.write("docs.jsonl", [*texts(60, about="trees"), *texts(40, start=60)])
    declare(live, populate={"delta_at_most": 0.9})
    model = FewAtOnce(live.services.embedder(live.indexes["docs"].models[0]), 1000)
    times = replace(live.services.times, slice=0.01)
    live.change_services(embedder=lambda spec: model, times=times)
    seen = through(live, live.deploy("docs"), until="populate")
    output = populated(live, seen)
    assert (output["way"], output["renewed"], output["embedded"]) == ("delta", 60, 60)
    assert sum(model.asked) == 60
    assert len(model.asked) > 2
