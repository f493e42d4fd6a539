"""Every command leaves an event that says who asked, why, and what it came through."""

import pytest

from core import collecting, commands, events, keeping, queries
from core.lifecycle import Event
from core.trials import commands as trials
from tests.world import World, texts


@pytest.fixture
def live(world: World) -> str:
    """An alias ``docs`` that serves its second version; returns the collection of the first."""
    world.declare("docs", source=world.write("docs.jsonl", texts(40)))
    first = world.deploy("docs")
    world.run()
    world.deploy("docs")
    world.run()
    return world.status(first)["green"]


def green(world):
    return world.store.aliases()["docs"]


COMMANDS = {
    "deploy": (lambda w, old, who: commands.deploy(w.services, "docs", **who), "deployment.pending"),
    "rollback": (lambda w, old, who: commands.rollback(w.services, "docs", **who), "deployment.pending"),
    "create an alias": (lambda w, old, who: commands.create_alias(w.services, "keep", old, **who), "alias.switched"),
    "create it again": (
        lambda w, old, who: commands.create_alias(w.services, "docs", green(w), **who),
        "alias.unchanged",
    ),
    "switch": (lambda w, old, who: commands.switch_alias(w.services, "docs", old, **who), "alias.switched"),
    "delete an alias": (lambda w, old, who: commands.delete_alias(w.services, "docs", **who), "alias.switched"),
    "delete what is free": (
        lambda w, old, who: commands.safe_delete_collection(w.services, old, **who),
        "deletion.requested",
    ),
    "delete what is used": (
        lambda w, old, who: commands.safe_delete_collection(w.services, green(w), **who),
        "deletion.requested",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_on_record(world, live, name):
    command, event = COMMANDS[name]
    with events.through("cli"):
        command(world, live, {"actor": "bert", "reason": "because of it"})
    found = [
        row for row in queries.events(world.services, limit=20) if row["event"] == event and row["actor"] == "bert"
    ]
    assert [(row["reason"], row["source"], row["at"][:10]) for row in found[:1]] == [
        ("because of it", "cli", f"{world.clock.moment:%Y-%m-%d}")
    ]


@pytest.mark.parametrize("wish", [Event.PAUSE, Event.ABORT])
def test_a_wish_is_on_record(world, live, wish):
    deployment = world.deploy("docs")
    with events.through("celery"):
        commands.wish(world.services, deployment, wish, actor="bert", reason="lunch")
    row = queries.events(world.services, "docs", 1)[0]
    assert (row["event"], row["actor"], row["reason"], row["source"]) == (
        f"{wish}.requested",
        "bert",
        "lunch",
        "celery",
    )


def test_what_is_kept_and_what_is_collected_is_on_record(world, live):
    with events.through("cli"):
        keeping.keep(world.services, live, actor="bert", reason="proof")
        collecting.collect(world.services, actor="carl")
    rows = {row["event"]: row for row in queries.events(world.services, limit=5)}
    kept, collected = rows["deletion.kept"], rows["gc.requested"]
    assert (kept["actor"], kept["reason"], kept["source"]) == ("bert", "proof", "cli")
    assert (collected["actor"], collected["source"]) == ("carl", "cli")


def test_an_experiment_is_on_record_from_its_start_to_its_end(world, live):
    made = trials.create(world.services, "colours", green(world), [live], actor="bert")
    trials.stop(world.services, made, actor="carl", reason="enough")
    rows = [row for row in queries.events(world.services, "docs", 20) if row["event"].startswith("experiment.")]
    assert [(row["event"], row["actor"]) for row in reversed(rows)] == [
        ("experiment.created", "bert"),
        ("experiment.started", "bert"),
        ("experiment.stopped", "carl"),
    ]
    assert rows[0]["reason"] == "enough"
    assert {row["source"] for row in rows} == {"python"}


def test_the_events_are_those_of_one_index_and_the_newest(world, live):
    assert queries.events(world.services, "nobody") == []
    assert len(queries.events(world.services, "docs", 3)) == 3
    assert {row["alias"] for row in queries.events(world.services, "docs", 100)} == {"docs"}
