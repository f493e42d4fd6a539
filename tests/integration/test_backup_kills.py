"""Kills the worker of a backup, and of every run that reads one, at every place where it touches
the outside.

Each call to Qdrant, each to the shelf, each commit, each message: they are counted first, then one
run dies at each.
"""

import time

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.deployments import backups, commands, engine
from qdrant_rollouts.core.lifecycle import Event
from tests.mortal import Killed, Reaper, mortal_world
from tests.world import EMBEDDING, texts


@pytest.fixture
def make(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = []

    def build(reaper):
        for old in made:
            old.close()
        made[:] = [
            mortal_world(
                tmp_path, ready_sqlite_url, reaper, ServerStore(qdrant_url, "", qdrant_grpc_port)
            )
        ]
        return made[0]

    yield build
    for world in made:
        world.close()


def go_on(world, reaper, run, *, until="the end", within=None):
    """Turns, whoever dies; a dead worker's knock is lost and its lease has to run out. ``within``:
    the steps in which anybody does."""
    for _ in range(600):
        seen = world.status(run)
        names = [step["name"] for step in seen["steps"] if step["status"] == "done"]
        if seen["status"] in ("live", "rolled_back", "needs_operator") or until in names:
            return seen
        knock = world.broker.take_next()
        if knock is None:
            world.clock.move(world.services.times.lease + 1)
            engine.knock_overdue_turns(world.services)
            continue
        time.sleep(min(0.05, knock.countdown))
        at = next((step["name"] for step in seen["steps"] if step["status"] != "done"), None)
        reaper.armed = within is None or at in within
        try:
            world.turn(knock)
        except Killed:
            world.broker.waiting.clear()
        reaper.armed = False
    raise AssertionError("never ended")


def serving(world):
    """Returns what serves the index. The first scenario of a test makes it; the later ones find it,
    whatever died since."""
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(20)),
        soak={"seconds": 1, "interval_seconds": 1},
    )
    if found := world.store.aliases().get("docs"):
        return found
    return go_on(world, Reaper(), world.deploy("docs"))["green"]


def told_snapshots(world, seen):
    """Returns the snapshots that are left on the server and of which the run says that they stay,
    and removes them. A worker that dies before it has heard the name leaves one."""
    left = world.store.snapshots(seen["green"])
    words = " ".join(step["message"] or "" for step in seen["steps"])
    assert len(left) <= 1
    assert all(
        f"snapshot {name} may belong to others and stays" in words
        or "asked for without an answer that names it" in words
        for name in left
    )
    for name in left:
        world.store.drop_snapshot(seen["green"], name)
    return left


def list_new_backups(world, known):
    """Returns the backups of the index whose ids are not ``known``, and adds them there."""
    listed = backups.list_backups(world.services, "docs")
    found = [one for one in listed if one["backup_id"] not in known]
    known.update(one["backup_id"] for one in found)
    return found


def backed_up(world):
    """Returns the one backup of the index that serves."""
    serving(world)
    if not world.services.shelf.backups():
        seen = go_on(world, Reaper(), backups.create_backup(world.services, "docs", actor="anna"))
        assert seen["status"] == "live", seen["message"]
    [made] = world.services.shelf.backups()
    return made


def backup(world, reaper, number):
    serving(world)
    return go_on(world, reaper, backups.create_backup(world.services, "docs", actor="anna"))


def aborted_backup(world, reaper, number):
    serving(world)
    run = backups.create_backup(world.services, "docs", actor="anna")
    go_on(world, Reaper(), run, until="fetch")
    commands.request_action(world.services, run, Event.ABORT, actor="anna")
    return go_on(world, reaper, run)


def verification(world, reaper, number):
    made = backed_up(world)
    return go_on(world, reaper, backups.verify_backup(world.services, backup=made, actor="anna"))


def restore_of_what_is_gone(world, reaper, number):
    made = backed_up(world)
    world.store.drop(serving(world))
    return go_on(world, reaper, backups.restore_backup(world.services, backup=made, actor="anna"))


def aborted_restore(world, reaper, number):
    run = backups.restore_backup(world.services, backup=backed_up(world), actor="anna")
    go_on(world, Reaper(), run, until="compare")
    commands.request_action(world.services, run, Event.ABORT, actor="anna")
    return go_on(world, reaper, run)


def read_as_a_source(world, number):
    made = backed_up(world)
    alias = f"docs{number}new"
    world.declare(alias, embedding={**EMBEDDING, "text": "{id} {text}"})
    return world.deploy(alias, source=f"backup:{made}")


def deployment_from_a_backup(world, reaper, number):
    return go_on(world, reaper, read_as_a_source(world, number), within=("unpack", "discard"))


def aborted_deployment_from_a_backup(world, reaper, number):
    run = read_as_a_source(world, number)
    go_on(world, Reaper(), run, until="create")
    commands.request_action(world.services, run, Event.ABORT, actor="anna")
    return go_on(world, reaper, run)


def killed_everywhere(make, scenario, few):
    """The server works in its own time, so that a run has some looks more or less than the one that
    was counted: the last places may not come."""
    reaper = Reaper()
    killed = 0
    world = make(reaper)
    yield world, scenario(world, reaper, 0)
    victims = range(1, reaper.places + 1, max(1, reaper.places // few))
    for victim in victims:
        reaper = Reaper()
        reaper.victim = victim
        world = make(reaper)
        yield world, scenario(world, reaper, victim)
        killed += reaper.places >= victim
    assert killed >= 0.6 * len(victims), "too few were killed"


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_the_worker_is_killed_there_is_one_whole_backup_and_no_snapshot_left(make, effort):
    known = set()
    for world, seen in killed_everywhere(make, backup, effort(8, 100_000)):
        assert seen["status"] == "live", seen["message"]
        [found] = list_new_backups(world, known)
        assert (found["backup_id"], found["status"], found["points"]) == (seen["id"], "done", 20)
        told_snapshots(world, seen)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_an_abort_is_killed_nothing_is_left_of_the_backup(make, effort):
    for world, seen in killed_everywhere(make, aborted_backup, effort(6, 100_000)):
        assert seen["status"] == "rolled_back", seen["message"]
        assert not (world.folder / "backups" / seen["id"]).exists()
        assert world.store.snapshots(seen["green"]) == set()


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_a_verification_is_killed_it_ends_and_its_collection_is_gone(make, effort):
    for world, seen in killed_everywhere(make, verification, effort(8, 100_000)):
        assert seen["status"] == "live", seen["message"]
        assert seen["message"].startswith("verified: 20 points")
        assert seen["green"] not in world.store.collections()


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_a_restore_is_killed_the_index_is_whole_again(make, effort):
    for world, seen in killed_everywhere(make, restore_of_what_is_gone, effort(8, 100_000)):
        assert seen["status"] == "live", seen["message"]
        assert world.store.aliases()[seen["alias"]] == seen["green"]
        assert world.store.count(seen["green"]) == 20
        assert [row["event"] for row in seen["events"]].count("alias.switched") == 1


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_an_aborted_restore_is_killed_what_served_serves_on_alone(make, effort):
    for world, seen in killed_everywhere(make, aborted_restore, effort(6, 100_000)):
        assert seen["status"] == "rolled_back", seen["message"]
        assert world.store.aliases()[seen["alias"]] == seen["blue"]
        assert seen["green"] not in world.store.collections()


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_the_recovery_of_a_source_is_killed_the_index_goes_live_and_nothing_else_is_left(
    make, effort
):
    for world, seen in killed_everywhere(make, deployment_from_a_backup, effort(8, 100_000)):
        assert seen["status"] == "live", seen["message"]
        assert world.store.count(seen["alias"]) == 20
        assert not [name for name in world.store.collections() if "_source_" in name]


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_wherever_an_abort_is_killed_neither_the_recovered_source_nor_the_new_collection_is_left(
    make, effort
):
    for world, seen in killed_everywhere(
        make, aborted_deployment_from_a_backup, effort(4, 100_000)
    ):
        assert seen["status"] == "rolled_back", seen["message"]
        assert not [name for name in world.store.collections() if name.startswith(seen["alias"])]
