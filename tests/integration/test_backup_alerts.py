"""The alerts about backups and verifications, which run on a real server next to anything else that
an index does."""

import time

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.deployments import backups, commands, engine
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.lifecycle import Event
from tests.roster import CONTROL, pass_time
from tests.world import World, texts

ENDS = ("live", "rolled_back", "needs_operator")


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    made.declare("docs", source=made.write("docs.jsonl", texts(20)), progress_deadline_seconds=60)
    through(made, made.deploy("docs"))
    yield made
    made.close()


def through(world, run):
    for _ in range(600):
        if world.status(run)["status"] in ENDS:
            return run
        knock = world.broker.take_next()
        if knock is None:
            world.clock.move(world.services.times.lease + 1)
            engine.knock_overdue_turns(world.services)
            continue
        time.sleep(min(0.05, knock.countdown))
        world.turn(knock)
    raise AssertionError(world.status(run))


def backup(world, **given):
    return backups.create_backup(
        world.services, "docs", actor="anna", reason="before the move", **given
    )


def told(world, run):
    return [notice for notice in world.told() if notice.deployment_id == run]


def names(notices):
    return [notice.what for notice in notices]


class Failing:
    """A store or a shelf whose call of this name does not answer."""

    def __init__(self, real, name):
        self.real = real
        self.name = name

    def __getattr__(self, name):
        if name == self.name:
            return self.silent
        return getattr(self.real, name)

    def silent(self, *_, **__):
        raise Unavailable(f"{self.name} did not answer")


def test_a_backup_and_its_verification_are_told_from_beginning_to_end_under_names_of_their_own(
    world,
):
    made = through(world, backup(world))
    run = through(world, backups.verify_backup(world.services, backup=made, actor="bert"))
    for kind, id, actor in (("backup", made, "anna"), ("verification", run, "bert")):
        notices = told(world, id)
        assert names(notices) == [f"{kind}.created", f"{kind}.completed"]
        assert (notices[0].index, notices[0].actor) == ("docs", actor)
        assert all(notice.severity == "info" for notice in notices)
    assert told(world, made)[0].reason == "before the move"


def test_a_verification_that_finds_damage_is_told_as_failed_with_what_was_found(world):
    made = through(world, backup(world))
    [file] = (world.folder / "backups" / made).glob("*.snapshot")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    run = through(world, backups.verify_backup(world.services, backup=made, actor="bert"))
    assert names(told(world, run))[-2:] == ["verification.failed", "verification.rolled_back"]
    failed = next(notice for notice in told(world, run) if notice.what == "verification.failed")
    assert (failed.severity, f"backup {made} is damaged" in failed.text) == ("warn", True)


def test_a_backup_that_is_paused_and_aborted_is_told_with_who_did_it(world):
    run = backup(world)
    commands.request_action(
        world.services, run, Event.PAUSE, actor="bert", reason="the disk is full"
    )
    world.turn(world.broker.take_next())
    commands.request_action(world.services, run, Event.ABORT, actor="carla", reason="enough")
    through(world, run)
    paused = [notice for notice in told(world, run) if notice.what == "backup.paused"]
    assert [(notice.state, notice.actor) for notice in paused] == [
        ("begun", "bert"),
        ("resolved", "carla"),
    ]
    assert f"rollouts resume {run}" in paused[0].next
    aborted = next(notice for notice in told(world, run) if notice.what == "backup.aborted")
    assert (aborted.actor, aborted.reason) == ("carla", "enough")
    assert names(told(world, run))[-1] == "backup.rolled_back"


def test_a_backup_that_nobody_takes_up_is_told_until_a_worker_comes(world):
    run = backup(world)
    pass_time(world, 400, CONTROL)
    through(world, run)
    waited = [notice for notice in told(world, run) if notice.what == "backup.no_progress"]
    assert [(notice.state, notice.severity) for notice in waited] == [
        ("begun", "error"),
        ("resolved", "error"),
    ]


def test_a_silent_shelf_is_told_before_the_backup_fails_and_an_undo_that_gives_up_after_it(
    world,
):
    world.change_services(shelf=Failing(world.services.shelf, "write"))
    world.over(Failing(world.store, "drop_snapshot"))
    run = through(world, backup(world))
    seen = names(told(world, run))
    assert (
        seen.index("backup.deadline_near")
        < seen.index("backup.failed")
        < seen.index("backup.needs_operator")
    )
    operator = next(notice for notice in told(world, run) if notice.what == "backup.needs_operator")
    assert (operator.state, operator.severity) == ("begun", "error")
    assert f"rollouts abort {run}" in operator.next
