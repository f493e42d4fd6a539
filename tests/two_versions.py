"""An index of two versions with different models, of which one serves, and an application that
writes."""

from typing import Any

from qdrant_rollouts.core.ports import Point
from tests.strategies import build_version
from tests.world import DIMENSION, World, texts

VECTOR = [1.0] + [0.0] * (DIMENSION - 1)
OTHER_SIZE = 48
MODEL = {"model": f"hashing:{OTHER_SIZE}", "text": "{text}"}


def declare_live(world: World, alias: str = "docs", **settings: Any) -> None:
    world.declare(
        alias, **{"source": "live", "embedding": MODEL, "accept_new_model": True, **settings}
    )


def build_two_versions(world: World, alias: str = "docs") -> None:
    """The alias serves its first version; its second one has another model and serves nobody."""
    world.declare(alias, source=world.write(f"{alias}.jsonl", texts(40)))
    world.deploy(alias)
    world.run()
    declare_live(world, alias)
    build_version(world, alias)


def sides(world: World, alias: str = "docs") -> tuple[str, str]:
    control = world.store.aliases()[alias]
    (treatment,) = {name for name in world.store.collections() if name.startswith(f"{alias}_2")} - {
        control
    }
    return control, treatment


def change(world: World, collection: str) -> None:
    """As an application: a changed and a new point, another payload, and a deleted point."""
    fetched = world.store.fetch(collection, [5], vectors=True)
    noted = [Point(one.id, one.vector, {**one.payload, "note": "read"}) for one in fetched]
    new = [
        Point(3, VECTOR, {"id": 3, "text": "changed"}),
        Point(77, VECTOR, {"id": 77, "text": "new"}),
    ]
    world.store.upsert(collection, [*noted, *new])
    world.store.delete(collection, [9])


def content(world: World, collection: str) -> dict[Any, Any]:
    points, _ = world.store.scroll(collection, None, 1000)
    return {
        point.id: {key: value for key, value in point.payload.items() if key != "_rollouts"}
        for point in points
    }
