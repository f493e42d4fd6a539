"""What the pages show beyond the rows: when a deployment will end, whether a rollback is possible,
what stands still."""

from datetime import datetime, timedelta

import pytest

from qdrant_rollouts.core.alerts import sent_alerts
from qdrant_rollouts.core.database.models import Deletion
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.views.audit_events import EventFilter, list_audit_events
from qdrant_rollouts.core.operations.views.overview import home, run
from qdrant_rollouts.core.operations.views.overview.change_stamp import compute_change_stamp
from qdrant_rollouts.core.operations.views.overview.deployment_list import list_deployment_page
from qdrant_rollouts.core.operations.views.overview.index_page import describe_index
from qdrant_rollouts.core.operations.views.overview.schedule_list import list_latest_schedules
from qdrant_rollouts.core.operations.views.overview.store_snapshot import (
    StoreSnapshot,
    StoreWatcher,
)
from tests.world import World, texts


@pytest.fixture
def world(tmp_path, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url)
    made.declare("docs", source=made.write("docs.jsonl", texts(20)))
    yield made
    made.close()


def seen_by(world):
    there = frozenset(world.store.collections())
    return StoreSnapshot(world.store.aliases(), there, world.clock.moment, declared=world.indexes)


def shown(world, id):
    return run.describe_deployment(world.services, id, seen_by(world))


def refused(seen):
    return {action.verb: action.refused for action in seen["actions"]}


def test_the_end_is_not_foretold_from_nothing_and_then_from_the_last_deployments(world):
    first = world.deploy("docs")
    told = shown(world, first)["eta"]
    assert told["low"] is None
    assert told["unknown"] == ["create", "populate", "validate", "catch_up", "switch"]
    assert told["sources"] == {"soak": "what the soak is set to"}
    world.run()
    second = world.deploy("docs")
    told = shown(world, second)["eta"]
    assert told["unknown"] == []
    assert told["sources"]["populate"] == "the last deployment"
    assert told["low"] <= told["high"]


def test_what_has_ended_needs_no_time_and_can_be_asked_for_nothing(world):
    started = world.deploy("docs")
    world.run()
    seen = shown(world, started)
    assert (seen["eta"], seen["actions"], seen["phase"]) == (None, [], "healthy")


def test_an_action_that_was_asked_for_is_not_asked_for_again(world):
    started = world.deploy("docs", options={"soak": {"seconds": 600, "interval_seconds": 1}})
    world.run(until=world.at(started, "soak"))
    assert refused(shown(world, started))["promote"] == ""
    assert "possible now" in refused(shown(world, started))["resume"]
    commands.request_action(world.services, started, Event.ABORT, actor="anna")
    assert refused(shown(world, started))["promote"] == "abort was requested and comes first"


def test_an_action_names_the_steps_that_follow_it(world):
    built = describe_index(world.services, "docs", seen_by(world))["actions"][0]
    assert (built.verb, built.steps) == (
        "deploy",
        ["create", "populate", "validate", "catch_up", "switch", "soak"],
    )
    started = world.deploy("docs")
    world.run(until=world.at(started, "populate"))
    follows = {action.verb: action.steps for action in shown(world, started)["actions"]}
    assert follows["promote"] == ["populate", "validate", "catch_up", "switch", "soak"]
    assert follows["abort"] == ["undo create"]
    assert follows["pause"] == ()
    says = {action.verb: action.says for action in shown(world, started)["actions"]}
    assert says["abort"].startswith("Nothing serves docs, as before; docs_")


def test_a_pause_of_a_watch_takes_none_of_its_looks(world):
    started = world.deploy("docs", options={"soak": {"seconds": 600, "interval_seconds": 10}})
    world.run(until=world.at(started, "soak"))
    commands.request_action(world.services, started, Event.PAUSE, actor="anna")
    world.run(until=lambda: world.status(started)["status"] == "paused")
    paused = shown(world, started)["situation"]
    assert [one.what for one in paused.since] == ["paused since", "the whole run since"]
    assert shown(world, started)["actions"][0].verb == "resume"
    world.clock.moment += timedelta(hours=1)
    commands.request_action(world.services, started, Event.RESUME, actor="anna")
    world.run(until=lambda: (world.step(started, "soak")["progress"] or {}).get("done", 0) >= 6)
    left = datetime.fromisoformat(shown(world, started)["eta"]["low"]) - world.clock.moment
    assert timedelta(seconds=500) < left <= timedelta(seconds=540)


def test_every_refusal_shown_is_the_one_that_the_command_gives(world):
    started = world.deploy("docs", options={"soak": {"seconds": 600, "interval_seconds": 1}})
    world.run(until=world.at(started, "populate"))
    for verb, said in refused(shown(world, started)).items():
        if said:
            with pytest.raises(Refused) as error:
                commands.request_action(
                    world.services, started, Event(verb), actor="anna", reason="to see"
                )
            assert str(error.value) == said


def test_a_collection_that_was_dropped_is_not_shown_as_there(world):
    started = world.deploy(
        "docs", options={"validation": {"queries": ["asyncio"], "min_top_score": 1.0}}
    )
    world.run()
    assert world.status(started)["status"] == "rolled_back"
    world.clock.moment += timedelta(seconds=10)
    assert [(one["colour"], one["gone"]) for one in shown(world, started)["collections"]] == [
        ("green", True)
    ]


def light(world):
    return describe_index(world.services, "docs", seen_by(world))["rollback"]


def test_the_way_back_is_ready_only_while_all_it_needs_is_there(world):
    assert light(world)["ready"] == "no"
    for _ in range(2):
        world.deploy("docs")
        world.run()
    assert light(world)["ready"] == "yes"
    target = light(world)["target"]
    blind = StoreSnapshot(error="Qdrant did not answer", since=world.clock.moment)
    assert describe_index(world.services, "docs", blind)["rollback"]["ready"] == "unknown"
    with world.services.sessions.begin() as session:
        session.query(Deletion).filter_by(collection=target).update({"status": "deleting"})
    assert light(world)["ready"] == "no"


def test_a_way_back_that_would_delete_writes_is_refused_as_by_the_command(world):
    older = world.status(world.deploy("docs"))["green"]
    world.run()
    world.declare("docs", source="live")
    live = world.status(world.deploy("docs"))["green"]
    world.run()
    assert light(world)["ready"] == "yes"
    for collection in (older, live):
        world.clock.move(1)
        commands.switch_alias(world.services, "docs", collection, actor="anna")
    assert light(world)["ready"] == "no"
    actions = refused(describe_index(world.services, "docs", seen_by(world)))
    with pytest.raises(Refused) as error:
        commands.start_rollback(world.services, "docs", actor="anna")
    assert (actions["rollback"], actions["rollback_now"]) == (str(error.value), "")


def test_nothing_else_may_be_under_way_where_one_goes_back(world):
    for _ in range(2):
        world.deploy("docs")
        world.run()
    started = world.deploy("docs")
    found = light(world)
    assert found["ready"] == "no"
    assert any(started in one["said"] for one in found["conditions"])


def test_an_alias_that_somebody_moved_calls_for_attention(world):
    for _ in range(2):
        world.deploy("docs")
        world.run()
    first = light(world)["target"]
    world.clock.move(60)
    world.store.point_alias("docs", first)
    (one,) = home.describe_home(world.services, seen_by(world))["indexes"]
    assert "Qdrant's alias leads to" in one["attention"][0]["text"]


def test_the_stamp_changes_with_every_turn_and_stands_still_with_them(world):
    started = world.deploy("docs")
    stamps = [compute_change_stamp(world.services)]
    assert compute_change_stamp(world.services) == stamps[0]
    for _ in range(3):
        world.turn(world.broker.take_next())
        stamps.append(compute_change_stamp(world.services))
    assert len(set(stamps)) == 4
    assert started


def test_a_look_that_fails_leaves_what_was_seen_and_says_since_when(world):
    world.deploy("docs")
    world.run()

    class Away(type(world.store)):
        def aliases(self):
            raise Unavailable("Qdrant did not answer")

    sight = StoreWatcher(world.services)
    before = sight.look(patience=60)
    world.over(Away(":memory:"))
    blind = StoreWatcher(world.services)
    after = blind.look(patience=60)
    assert before.aliases
    assert not before.error
    assert (after.error, after.aliases) == ("Qdrant did not answer", None)
    assert after.since is not None
    assert list(after.declared) == ["docs"]


def test_history_is_told_a_page_at_a_time(world):
    for _ in range(3):
        world.deploy("docs")
        world.run()
    told = list_deployment_page(world.services, "docs", "live")
    assert (told["place"].found, told["place"].pages, len(told["deployments"])) == (3, 1, 3)
    beyond = list_deployment_page(world.services, "docs", "live", page=2)
    assert (beyond["place"].page, beyond["deployments"]) == (1, told["deployments"])
    events = list_audit_events(world.services, EventFilter(alias="docs"))["events"]
    assert events[0]["at"] >= events[-1]["at"]


def test_postgresql_is_asked_the_same(tmp_path, ready_postgres_url):
    world = World(tmp_path, ready_postgres_url)
    world.declare("docs", source=world.write("docs.jsonl", texts(20)))
    started = world.deploy("docs")
    world.run()
    assert [
        one["alias"] for one in home.describe_home(world.services, seen_by(world))["indexes"]
    ] == ["docs"]
    assert (
        describe_index(world.services, "docs", seen_by(world))["live"]
        == shown(world, started)["green"]
    )
    assert list_deployment_page(world.services, "docs", "live")["place"].found == 1
    assert list_audit_events(world.services, EventFilter(alias="docs"))["events"]
    assert sent_alerts.list_alerts(world.services, 5)
    assert list_latest_schedules(world.services, seen_by(world)) == []
    assert compute_change_stamp(world.services) == compute_change_stamp(world.services)
    world.close()
