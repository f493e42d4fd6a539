"""Aliases, deletions and rollbacks, on both databases."""

import threading
from typing import Any

import pytest

from qdrant_rollouts.core.collections import aliases
from qdrant_rollouts.core.collections.deletion import deletions
from qdrant_rollouts.core.deployments import commands, engine
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Point, Schema
from tests.contract.test_engine import Failing
from tests.world import World, texts

SCHEMA: Schema = {"params": {"vectors": {"size": 4, "distance": "Cosine"}}, "payload_schema": {}}


@pytest.fixture
def two(world: World) -> World:
    """Collections ``a`` and ``b``, and an alias ``docs`` on ``a``."""
    for name in ("a", "b"):
        world.store.create(name, SCHEMA, {})
    commands.create_alias(world.services, "docs", "a", actor="anna")
    return world


def later(world: World, minutes: float) -> None:
    """Time passes while the service runs: the sweep sees each quarter of a minute."""
    for _ in range(int(minutes * 4) + 1):
        world.clock.move(15)
        deletions.delete_due(world.services)


def test_create_makes_an_alias_and_says_when_it_was_there(two: World) -> None:
    assert two.store.aliases() == {"docs": "a"}
    again = commands.create_alias(two.services, "docs", "a", actor="anna")
    assert again == {"created": False, "alias": "docs", "collection": "a"}


def test_create_moves_an_existing_alias_only_by_force(two: World) -> None:
    with pytest.raises(Refused, match="points to a"):
        commands.create_alias(two.services, "docs", "b", actor="anna")
    assert two.store.aliases() == {"docs": "a"}
    assert commands.create_alias(two.services, "docs", "b", force=True, actor="anna")["created"]
    assert two.store.aliases() == {"docs": "b"}


def test_switch_moves_the_alias_and_names_both(two: World) -> None:
    answer = commands.switch_alias(two.services, "docs", "b", actor="anna")
    assert answer == {"old_collection": "a", "new_collection": "b", "switched": True}
    assert two.store.aliases() == {"docs": "b"}


def test_switch_to_the_current_collection_is_no_change(two: World) -> None:
    assert commands.switch_alias(two.services, "docs", "a", actor="anna")["switched"] is False
    assert two.store.aliases() == {"docs": "a"}


def test_switch_to_a_missing_collection_leaves_the_alias(two: World) -> None:
    with pytest.raises(Refused, match="gone does not exist"):
        commands.switch_alias(two.services, "docs", "gone", actor="anna")
    assert two.store.aliases() == {"docs": "a"}


def test_switch_of_an_unknown_alias_names_the_known_ones(two: World) -> None:
    with pytest.raises(Refused, match="known: docs"):
        commands.switch_alias(two.services, "nodocs", "b", actor="anna")


def test_two_switches_at_once_are_one_effect(two: World) -> None:
    answers: list[dict[str, Any]] = []

    def switch() -> None:
        answers.append(commands.switch_alias(two.services, "docs", "b", actor="anna"))

    threads = [threading.Thread(target=switch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["switched"] for answer in answers].count(True) == 1
    assert two.store.aliases() == {"docs": "b"}


def test_an_alias_cannot_take_a_collections_name(two: World) -> None:
    with pytest.raises(Refused, match="collection's name"):
        commands.create_alias(two.services, "b", "a", actor="anna")


def test_a_switch_that_dies_before_qdrant_is_told_is_finished_by_the_next(two: World) -> None:
    two.over(Failing(two.store, "point_alias"))
    with pytest.raises(Unavailable):
        commands.switch_alias(two.services, "docs", "b", actor="anna")
    two.over(two.store._store)  # type: ignore[attr-defined]
    assert commands.switch_alias(two.services, "docs", "b", actor="anna")["switched"]
    assert two.store.aliases() == {"docs": "b"}


def test_a_switch_that_was_carried_out_but_not_answered_is_settled_by_the_next(two: World) -> None:
    aliases._commit_intent(
        two.services, "docs", "b", "a", aliases._read_intent(two.services, "docs")
    )
    two.store.point_alias("docs", "b")
    moved = aliases.move_alias(two.services, "docs", "b", expected={"a"}, actor="anna")
    assert moved == aliases.Moved("a", moved=True)


def test_an_alias_that_somebody_moved_is_not_moved_on(two: World) -> None:
    two.store.create("c", SCHEMA, {})
    two.store.point_alias("docs", "c")
    with pytest.raises(Refused, match="somebody moved it"):
        aliases.move_alias(two.services, "docs", "b", expected={"a"}, actor="anna")


def test_delete_removes_the_alias_once(two: World) -> None:
    assert commands.delete_alias(two.services, "docs", actor="anna") == {"deleted": True}
    assert commands.delete_alias(two.services, "docs", actor="anna") == {"deleted": False}
    assert two.store.collections() == {"a", "b"}
    with pytest.raises(Refused, match="does not exist"):
        commands.delete_alias(two.services, "never", actor="anna")


@pytest.mark.parametrize("look", ["alias_exists", "get_collection_for_alias"])
def test_a_look_up_that_cannot_reach_qdrant_raises(two: World, look: str) -> None:
    two.over(Failing(two.store, "aliases"))
    with pytest.raises(Unavailable):
        getattr(aliases, look)(two.services, "docs")
    with pytest.raises(Unavailable):
        queries.list_aliases(two.services)


def test_a_collection_an_alias_points_to_is_not_scheduled_for_deletion(two: World) -> None:
    answer = commands.safe_delete_collection(two.services, "a", actor="anna")
    assert answer["scheduled"] is False
    assert "alias docs" in answer["reason"]


def test_a_collection_is_deleted_when_its_grace_period_is_over_and_not_before(two: World) -> None:
    assert commands.safe_delete_collection(two.services, "b", actor="anna")["scheduled"]
    later(two, 55)
    assert "b" in two.store.collections()
    later(two, 6)
    assert two.store.collections() == {"a"}
    assert queries.list_deletions(two.services)[0]["status"] == "deleted"


def test_running_time_is_counted_by_every_sweep(two: World) -> None:
    """Counted only where deletions are looked for, every 30 s and 15 s at most, grace would last
    twice as long."""
    commands.safe_delete_collection(two.services, "b", grace_period_minutes=10, actor="anna")
    for second in range(5, 11 * 60, 5):
        two.clock.move(5)
        engine.knock_overdue_turns(two.services)
        if second % 30 == 0:
            deletions.delete_due(two.services)
    assert "b" not in two.store.collections()


def test_a_clock_that_jumps_deletes_nothing_early(two: World) -> None:
    commands.safe_delete_collection(two.services, "b", actor="anna")
    later(two, 1)
    two.clock.move(2 * 3600)
    deletions.delete_due(two.services)
    assert "b" in two.store.collections()


def test_a_collection_aliased_by_hand_during_its_grace_period_is_kept_and_says_why(
    two: World,
) -> None:
    commands.safe_delete_collection(two.services, "b", actor="anna")
    two.store.point_alias("other", "b")
    later(two, 61)
    assert "b" in two.store.collections()
    deletion = queries.list_deletions(two.services)[0]
    assert deletion["status"] == "cancelled"
    assert "alias other points to it" in deletion["reason"]


def test_a_deletion_whose_aliases_cannot_be_looked_at_deletes_nothing(two: World) -> None:
    commands.safe_delete_collection(two.services, "b", grace_period_minutes=0, actor="anna")
    store = two.store
    two.over(Failing(store, "aliases"))
    two.clock.move(15)
    with pytest.raises(Unavailable):
        deletions.delete_due(two.services)
    assert "b" in store.collections()
    two.over(store)
    later(two, 1)
    assert "b" not in store.collections()


def test_delete_old_writes_a_deletion_down_that_a_switch_back_cancels(two: World) -> None:
    commands.switch_alias(two.services, "docs", "b", delete_old=True, actor="anna")
    assert queries.list_deletions(two.services)[0]["status"] == "scheduled"
    commands.switch_alias(two.services, "docs", "a", actor="anna")
    later(two, 61)
    assert two.store.collections() == {"a", "b"}


def test_a_negative_grace_period_is_refused(two: World) -> None:
    with pytest.raises(Refused, match="grace_period_minutes is -1"):
        commands.safe_delete_collection(two.services, "b", grace_period_minutes=-1, actor="anna")


def test_the_alias_of_a_running_deployment_is_the_deployments(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    world.store.create("b", SCHEMA, {})
    running = world.deploy("docs")
    with pytest.raises(Refused, match=running):
        commands.switch_alias(world.services, "docs", "b", actor="anna")


def test_rollback_brings_the_version_before_back_and_keeps_it(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    world.write("docs.jsonl", texts(40))
    bad = world.deploy("docs")
    world.run()
    status = world.status(bad)
    back = commands.start_rollback(world.services, "docs", actor="anna", reason="bad answers")
    world.run()
    assert world.status(back)["status"] == "live"
    assert world.store.aliases() == {"docs": status["blue"]}
    later(world, 61)
    assert world.store.collections() == {status["blue"]}


def test_a_collection_that_the_index_file_names_as_a_source_outlives_its_alias(
    world: World,
) -> None:
    world.store.create("mine", SCHEMA, {})
    world.store.upsert("mine", [Point(1, [1.0, 0.0, 0.0, 0.0], {})])
    world.store.point_alias("docs", "mine")
    world.declare("docs", source="collection:mine", embedding=None)
    world.deploy("docs")
    world.run()
    later(world, 61)
    assert "mine" in world.store.collections()
    assert "index docs reads from it" in queries.list_deletions(world.services)[0]["reason"]


def test_rollback_while_a_deployment_runs_names_it(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    running = world.deploy("docs")
    world.run(until=world.at(running, "soak"))
    with pytest.raises(Refused, match=running):
        commands.start_rollback(world.services, "docs", actor="anna")


def test_rollback_without_a_retained_version_is_refused(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    world.deploy("docs")
    world.run()
    with pytest.raises(Refused, match="no version before"):
        commands.start_rollback(world.services, "docs", actor="anna")
    world.deploy("docs")
    world.run()
    later(world, 61)
    with pytest.raises(Refused, match="no longer retained"):
        commands.start_rollback(world.services, "docs", actor="anna")


def test_deletion_after_a_deployment_waits_for_its_grace_period(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), grace_period_minutes=10)
    world.deploy("docs")
    world.run()
    second = world.deploy("docs")
    world.run()
    status = world.status(second)
    later(world, 9)
    assert status["blue"] in world.store.collections()
    later(world, 2)
    assert world.store.collections() == {status["green"]}


def test_a_collection_that_a_running_deployment_reads_from_is_not_deleted(world: World) -> None:
    world.store.create("old", SCHEMA, {})
    world.store.upsert("old", [Point(1, [1.0, 0.0, 0.0, 0.0], {})])
    world.declare("docs", source="collection:old", embedding=None)
    running = world.deploy("docs")
    answer = commands.safe_delete_collection(world.services, "old", actor="anna")
    assert answer["scheduled"] is False
    assert running in answer["reason"]
