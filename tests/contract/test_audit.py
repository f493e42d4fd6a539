"""Every command leaves an event with its actor, reason and source."""

import pytest

from qdrant_rollouts.core.alerts import deliveries
from qdrant_rollouts.core.collections import marks
from qdrant_rollouts.core.collections.deletion import garbage_collection, retention_policy
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.commands import adoption, rebuilding
from qdrant_rollouts.core.experiments import commands as experiment_commands
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.asking import judgments
from tests.saved_worlds import SavedWorlds
from tests.world import World, texts


def deploy_twice(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(40)))
    for _ in range(2):
        world.deploy("docs")
        world.run()


@pytest.fixture
def live(world: World, saved_worlds: SavedWorlds) -> str:
    """An alias ``docs`` that serves its second version; returns the collection of the first."""
    saved_worlds.begin(world, deploy_twice)
    (first,) = world.store.collections() - {world.store.aliases()["docs"]}
    return first


def green(world):
    return world.store.aliases()["docs"]


def theirs(world):
    world.store.create("articles", world.store.schema(green(world)), {})
    world.store.point_alias("articles_live", "articles")
    return "articles_live"


def experiment(world, old, who, **given):
    return experiment_commands.create_experiment(
        world.services, "colours", green(world), [old], start=False, **given, **who
    )


def started(world, old):
    made = experiment(world, old, {"actor": "anna"}, options={"coverage": 1000})
    return experiment_commands.start_experiment(world.services, made, actor="anna")


COMMANDS = {
    "deploy": (
        lambda w, old, who: commands.start_deployment(w.services, "docs", **who),
        "deployment.pending",
    ),
    "rollback": (
        lambda w, old, who: commands.start_rollback(w.services, "docs", **who),
        "deployment.pending",
    ),
    "mark a version": (
        lambda w, old, who: marks.mark_version(w.services, "docs", "1", bad=True, **who),
        "version.marked_bad",
    ),
    "propose a judged query": (
        lambda w, old, who: judgments.add_judgment(w.services, "docs", "asyncio", [1], **who),
        "judgment.added",
    ),
    "create an alias": (
        lambda w, old, who: commands.create_alias(w.services, "keep", old, **who),
        "alias.switched",
    ),
    "create it again": (
        lambda w, old, who: commands.create_alias(w.services, "docs", green(w), **who),
        "alias.unchanged",
    ),
    "switch": (
        lambda w, old, who: commands.switch_alias(w.services, "docs", old, **who),
        "alias.switched",
    ),
    "delete an alias": (
        lambda w, old, who: commands.delete_alias(w.services, "docs", **who),
        "alias.switched",
    ),
    "delete what is free": (
        lambda w, old, who: commands.safe_delete_collection(w.services, old, **who),
        "deletion.requested",
    ),
    "delete what is used": (
        lambda w, old, who: commands.safe_delete_collection(w.services, green(w), **who),
        "deletion.requested",
    ),
    "keep": (
        lambda w, old, who: retention_policy.keep_collection(w.services, old, **who),
        "deletion.kept",
    ),
    "gc": (
        lambda w, old, who: garbage_collection.collect_garbage(w.services, **who),
        "gc.requested",
    ),
    "adopt": (
        lambda w, old, who: adoption.adopt_collection(w.services, theirs(w), **who),
        "version.adopted",
    ),
    "test alerts": (
        lambda w, old, who: deliveries.try_channels(w.services, None, **who),
        "alert.tested",
    ),
    "rebuild": (
        lambda w, old, who: rebuilding.rebuild_index(w.services, "docs", **who),
        "index.unchanged",
    ),
    "create an experiment": (experiment, "experiment.created"),
    "start an experiment": (
        lambda w, old, who: experiment_commands.start_experiment(
            w.services, experiment(w, old, {"actor": "anna"}), **who
        ),
        "experiment.started",
    ),
    "widen an experiment": (
        lambda w, old, who: experiment_commands.widen_experiment(
            w.services, started(w, old), 2000, **who
        ),
        "experiment.widened",
    ),
    "stop an experiment": (
        lambda w, old, who: experiment_commands.stop_experiment(w.services, started(w, old), **who),
        "experiment.stopped",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_on_record(world, live, name):
    command, event = COMMANDS[name]
    with events.use_source("cli"):
        command(world, live, {"actor": "bert", "reason": "because of it"})
    found = [
        row
        for row in world.list_events(limit=20)
        if row["event"] == event and row["actor"] == "bert"
    ]
    assert [(row["reason"], row["source"], row["at"][:10]) for row in found[:1]] == [
        ("because of it", "cli", f"{world.clock.moment:%Y-%m-%d}")
    ]


@pytest.mark.parametrize("wish", [Event.PAUSE, Event.ABORT])
def test_a_wish_is_on_record(world, live, wish):
    deployment = world.deploy("docs")
    with events.use_source("celery"):
        commands.request_action(world.services, deployment, wish, actor="bert", reason="lunch")
    row = world.list_events("docs", 1)[0]
    assert (row["event"], row["actor"], row["reason"], row["source"]) == (
        f"{wish}.requested",
        "bert",
        "lunch",
        "celery",
    )


def test_an_experiment_is_on_record_from_its_start_to_its_end(world, live):
    made = experiment_commands.create_experiment(
        world.services, "colours", green(world), [live], actor="bert"
    )
    experiment_commands.stop_experiment(world.services, made, actor="carl", reason="enough")
    rows = [row for row in world.list_events("docs", 20) if row["event"].startswith("experiment.")]
    assert [(row["event"], row["actor"]) for row in reversed(rows)] == [
        ("experiment.created", "bert"),
        ("experiment.started", "bert"),
        ("experiment.stopped", "carl"),
    ]
    assert rows[0]["reason"] == "enough"
    assert {row["source"] for row in rows} == {"python"}


def test_the_events_are_those_of_one_index_and_the_newest(world, live):
    assert world.list_events("nobody") == []
    assert len(world.list_events("docs", 3)) == 3
    assert {row["alias"] for row in world.list_events("docs", 100)} == {"docs"}
