"""The strategy that builds and judges a collection and moves no alias, on both databases."""

from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.operations.views import queries
from tests.world import World, texts


def declare(world: World, count: int = 12, **settings: object) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(count)), **settings)


def serve(world: World) -> str:
    declare(world)
    world.deploy("docs")
    world.run()
    return world.store.aliases()["docs"]


def build(world: World, **arguments: object) -> dict[str, object]:
    deployment = world.deploy("docs", strategy="build_only", **arguments)
    world.run()
    return world.status(deployment)


def test_green_is_built_judged_and_kept_and_the_alias_does_not_move(world: World) -> None:
    blue = serve(world)
    declare(world, 15)
    due = queries.list_deletions(world.services)
    seen = build(world)
    assert seen["status"] == Status.COMPLETED
    assert [step["name"] for step in seen["steps"]] == [
        "create",
        "populate",
        "validate",
        "catch_up",
        "stop",
    ]
    assert world.store.aliases() == {"docs": blue}
    assert world.store.count(str(seen["green"])) == 15
    assert queries.list_deletions(world.services) == due


def test_the_first_collection_of_an_index_can_be_built_before_anything_serves(
    world: World,
) -> None:
    declare(world)
    seen = build(world)
    assert seen["status"] == Status.COMPLETED
    assert world.store.aliases() == {}
    assert seen["green"] in world.store.collections()


def test_what_was_built_can_be_deployed_later(world: World) -> None:
    blue = serve(world)
    declare(world, 15)
    green = str(build(world)["green"])
    deployment = world.deploy("docs", collection=green)
    world.run()
    assert world.status(deployment)["status"] == Status.LIVE
    assert world.store.aliases() == {"docs": green}
    assert blue != green


def test_a_collection_that_the_gate_rejects_is_dropped(world: World) -> None:
    blue = serve(world)
    before = world.store.collections()
    declare(world, 15, validation={"queries": ["python"], "min_results": 500})
    seen = build(world)
    assert seen["status"] == Status.ROLLED_BACK
    assert world.store.collections() == before
    assert world.store.aliases() == {"docs": blue}
