"""Rebuilds that would build what already serves, on SQLite and on PostgreSQL."""

import dataclasses
from typing import Any

import pytest
from sqlalchemy import select

from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.deployments.commands import rebuilding
from qdrant_rollouts.core.ports import Point
from tests.schedules import declare, deployments
from tests.world import World, texts


def rebuilt(world: World) -> bool:
    """Whether a rebuild builds; if so, it is brought to its end."""
    found = rebuilding.rebuild_index(world.services, "docs", actor="anna")
    world.run()
    world.clock.move(60)
    return isinstance(found, str)


def test_a_rebuild_of_unchanged_data_is_an_event_and_no_deployment(world: World) -> None:
    declare(world)
    assert rebuilt(world)
    assert not rebuilt(world)
    with world.services.sessions() as session:
        told = session.scalars(select(EventRow).where(EventRow.event == "index.unchanged")).one()
    assert (told.alias, told.actor) == ("docs", "anna")
    assert deployments(world) == 1


def test_a_deployment_that_a_person_asks_for_always_builds(world: World) -> None:
    declare(world)
    for _ in range(2):
        world.deploy("docs")
        world.run()
        world.clock.move(60)
    assert deployments(world) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"embedding": {"model": "hashing:32", "text": "{text}"}},
        {"embedding": {"model": "hashing:64", "text": "{id} {text}"}},
        {"collection": {"hnsw": {"m": 32}}},
        {"on_bad_record": "skip"},
    ],
    ids=["model", "template", "hnsw", "bad records"],
)
def test_settings_that_make_another_collection_of_the_same_data_build(
    world: World, change: dict[str, Any]
) -> None:
    source = world.write("docs.jsonl", texts(8))
    world.declare("docs", source=source)
    assert rebuilt(world)
    world.declare("docs", source=source, **change)
    assert rebuilt(world)
    assert not rebuilt(world)


def test_settings_that_change_nothing_of_a_collection_build_nothing(world: World) -> None:
    source = world.write("docs.jsonl", texts(8))
    world.declare("docs", source=source)
    assert rebuilt(world)
    world.declare("docs", source=source, grace_period_minutes=5, validation={"queries": ["python"]})
    assert not rebuilt(world)


class OtherModel:
    """The same name, other weights behind it."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.identity = model.identity + ", retrained"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def test_a_model_that_was_changed_under_its_name_is_noticed(world: World) -> None:
    declare(world)
    assert rebuilt(world)
    before = world.services.embedder
    world.services = dataclasses.replace(
        world.services, embedder=lambda spec: OtherModel(before(spec))
    )
    assert rebuilt(world)


def test_points_that_somebody_has_written_into_the_live_collection_are_noticed(
    world: World,
) -> None:
    declare(world)
    assert rebuilt(world)
    world.store.upsert(world.store.aliases()["docs"], [Point(99, [1.0] * 64, {})])
    assert rebuilt(world)
    assert world.store.count("docs") == 8


def test_a_collection_as_source_tells_nothing_and_is_read_every_time(world: World) -> None:
    declare(world)
    assert rebuilt(world)
    source = world.store.aliases()["docs"]
    world.declare("copy", source=f"collection:{source}")
    for _ in range(2):
        assert isinstance(rebuilding.rebuild_index(world.services, "copy", actor="anna"), str)
        world.run()
        world.clock.move(60)
