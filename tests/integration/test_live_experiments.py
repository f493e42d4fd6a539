"""An experiment runs while applications write all the time, on a real server: its treatment gets
what is written, and the winner has every write."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.database import treatments
from qdrant_rollouts.core.experiments import commands, following, queries
from qdrant_rollouts.core.ports import Point
from tests.integration.test_live_writes import LOOSE, NOTHING, PATIENT, RECORDS, found, writers
from tests.mortal import Killed, Mortal, Reaper
from tests.strategies import build_version
from tests.world import World, texts
from tests.writers import compare_with, make_vector

MODEL = {"model": "hashing:48", "text": "{text}"}
#: A round over so many points is done in several turns.
SHORT = 0.05


@pytest.fixture
def world(
    tmp_path: Path, qdrant_url: str, qdrant_grpc_port: int, ready_sqlite_url: str
) -> Iterator[World]:
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.change_services(times=replace(made.services.times, ready_look=0.1))
    soak = {"seconds": 1, "interval_seconds": 1}
    made.declare("docs", source=made.write("docs.jsonl", texts(RECORDS)), validation=LOOSE)
    made.deploy("docs")
    made.run()
    made.declare(
        "docs",
        source="live",
        embedding=MODEL,
        accept_new_model=True,
        writes=PATIENT,
        validation=LOOSE,
        soak=soak,
    )
    yield made
    made.close()


@pytest.fixture
def treatment(world: World) -> str:
    return build_version(world, "docs")


@pytest.fixture
def experiment(world: World, treatment: str) -> str:
    control = world.store.aliases()["docs"]
    return commands.create_experiment(
        world.services, "which-model", control, [treatment], actor="anna"
    )


def sweep(world: World, seconds: float = treatments.PAUSE + 1) -> None:
    """What the sweep and a worker do after some time."""
    world.clock.move(seconds)
    for id in following.list_due(world.services):
        following.follow_control(world.services, id)


def sweep_on(world: World) -> None:
    while True:
        sweep(world)


def finish_round(world: World, experiment: str) -> None:
    """Sweeps until a round has ended that began after this was called."""
    for _ in range(2):
        before = rounds(world, experiment)
        while rounds(world, experiment) == before:
            sweep(world)


def rounds(world: World, experiment: str) -> int:
    [one] = queries.get_experiment(world.services, experiment)["writes"]
    return one["rounds"]


def read_points(world: World, collection: str) -> dict[Any, Point]:
    points, _ = world.store.scroll(collection, None, 10_000, vectors=True)
    return {point.id: point for point in points}


def compare_sides(world: World, treatment: str) -> None:
    """Both sides have equal ids and payloads, and the treatment the vectors of its own model."""
    control = read_points(world, world.store.aliases()["docs"])
    ours = read_points(world, treatment)
    assert ours.keys() == control.keys()
    for id, point in ours.items():
        assert _without_mark(point.payload) == _without_mark(control[id].payload)
    made = open_embedder(EmbeddingSpec.model_validate(MODEL)).documents(
        [str(point.payload["text"]) for point in ours.values()]
    )
    for point, vector in zip(ours.values(), made, strict=True):
        wanted = np.asarray(vector) / np.linalg.norm(vector)
        assert np.allclose(np.asarray(point.vector), wanted, atol=1e-5)


def _without_mark(payload: Any) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != "_rollouts"}


def test_a_treatment_gets_what_writers_write_to_the_control(
    world: World, experiment: str, treatment: str, qdrant_url: str
) -> None:
    before = dict(read_points(world, treatment))
    with writers(world, qdrant_url, make_vector) as made:
        while sum(writer.truth.writes for writer in made) < 100:
            sweep(world)
    finish_round(world, experiment)
    assert compare_with([writer.truth for writer in made], found(world)) == NOTHING
    assert read_points(world, treatment).keys() != before.keys()
    compare_sides(world, treatment)


def test_a_worker_that_is_killed_in_the_middle_of_a_round_leaves_the_rest_to_the_next_one(
    world: World, experiment: str, treatment: str, qdrant_url: str
) -> None:
    with writers(world, qdrant_url, make_vector) as made:
        while sum(writer.truth.writes for writer in made) < 100:
            pass
    world.change_services(times=replace(world.services.times, turn_time=SHORT))
    reaper = Reaper()
    reaper.victim = 20
    store = world.store
    world.over(Mortal(store, reaper))
    reaper.armed = True
    with pytest.raises(Killed):
        sweep_on(world)
    reaper.armed = False
    world.over(store)
    sweep(world, treatments.LEASE + 1)
    finish_round(world, experiment)
    compare_sides(world, treatment)


def test_the_winner_has_everything_that_was_written_until_the_switch(
    world: World, experiment: str, treatment: str, qdrant_url: str
) -> None:
    with writers(world, qdrant_url, make_vector) as before:
        while sum(writer.truth.writes for writer in before) < 50:
            sweep(world)
    commands.stop_experiment(world.services, experiment, actor="anna")
    with writers(world, qdrant_url, None) as made:
        deployment = world.deploy("docs", collection=treatment)
        world.run(until=world.at(deployment, "soak"))
        switched = world.step(deployment, "switch")["output"]
    world.run()
    status = world.status(deployment)
    assert status["status"] == "live", status["message"]
    assert world.store.aliases()["docs"] == treatment
    assert compare_with([writer.truth for writer in made], found(world)) == NOTHING
    assert switched["held"] > 0
