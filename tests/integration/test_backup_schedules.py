"""Backups by schedule, on a real server: one for each time, as many kept as declared, and
alerts."""

import threading

import pytest

from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.deployments import backups, commands
from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.core.operations.schedules import commands as schedule_commands
from qdrant_rollouts.core.operations.schedules import sweep
from tests.backups import through, whole
from tests.schedules import at, runs, the_schedule
from tests.world import World, texts


@pytest.fixture
def world(tmp_path, qdrant_url, qdrant_grpc_port, ready_sqlite_url):
    """``docs`` serves, and is to be backed up at three."""
    made = World(tmp_path, ready_sqlite_url, ServerStore(qdrant_url, "", qdrant_grpc_port))
    at(made, "2026-11-01T12:00")
    declare(made)
    through(made, made.deploy("docs"))
    sweep.sweep_schedules(made.services)
    yield made
    made.close()


def declare(world, backup="0 3 * * *", **settings):
    world.declare("docs", source=world.write("docs.jsonl", texts(30)), backup=backup, **settings)


def swept(world):
    """A sweep, and every backup that comes of it to its end."""
    take_up(world)
    for record in backups.list_backups(world.services):
        if record["status"] in ("pending", "running"):
            through(world, record["backup_id"])
    sweep.sweep_schedules(world.services)


def take_up(world):
    for run in sweep.sweep_schedules(world.services).open:
        sweep.take_up_run(world.services, run)


def test_each_night_has_one_backup_and_as_many_are_kept_as_declared(world):
    declare(world, retention={"backups": 2})
    for night in range(2, 5):
        at(world, f"2026-11-{night:02d}T03:00:02")
        swept(world)
        swept(world)

    assert runs(world, "backup") == [(f"11-{night:02d}T03:00", "done") for night in range(2, 5)]
    made = [run["deployment_id"] for run in the_schedule(world, "backup")["runs"]]
    assert whole(world) == made[:2]
    assert the_schedule(world, "backup")["next_at"] == "2026-11-05T03:00:00.000Z"
    assert "30 points" in the_schedule(world, "backup")["runs"][0]["message"]


def test_however_many_take_a_time_up_one_backup_is_begun(world):
    at(world, "2026-11-02T03:00")
    run = sweep.sweep_schedules(world.services).open[0]
    together = threading.Barrier(3)
    failed = []

    def worker():
        try:
            together.wait()
            sweep.take_up_run(world.services, run)
        except BaseException as error:
            failed.append(error)
            raise

    workers = [threading.Thread(target=worker) for _ in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()

    assert failed == []
    assert len(backups.list_backups(world.services)) == 1
    swept(world)
    assert runs(world, "backup") == [("11-02T03:00", "done")]


@pytest.mark.parametrize(("overlap", "ends"), [("skip", "skipped"), ("wait", "done")])
def test_a_backup_that_is_under_way_is_waited_for_or_the_time_is_left_out(world, overlap, ends):
    declare(world, backup={"cron": "0 3 * * *", "overlap": overlap})
    by_hand = backups.create_backup(world.services, "docs", actor="anna")
    at(world, "2026-11-02T03:00")

    take_up(world)

    [run] = the_schedule(world, "backup")["runs"]
    assert f"backup {by_hand} of docs is pending: one at a time" in run["message"]
    through(world, by_hand)
    swept(world)
    assert runs(world, "backup") == [("11-02T03:00", ends)]
    assert len(whole(world)) == (2 if ends == "done" else 1)


def test_a_backup_that_fails_is_told_and_so_is_a_success_that_does_not_come(world):
    declare(world, backup={"cron": "0 3 * * *", "success_within_hours": 20})
    sweep.sweep_schedules(world.services)
    at(world, "2026-11-02T03:00")
    take_up(world)
    [begun] = backups.list_backups(world.services)
    commands.request_action(
        world.services, begun["backup_id"], Event.ABORT, actor="anna", reason="not now"
    )
    through(world, begun["backup_id"])
    at(world, "2026-11-02T08:01")
    sweep.sweep_schedules(world.services)

    told = [(one.what, one.state) for one in world.told() if one.what.startswith("schedule.")]
    assert told == [("schedule.failed", "moment"), ("schedule.backup_late", "begun")]

    schedule_commands.run_schedule(world.services, "docs", "backup", actor="anna")
    swept(world)
    assert (world.told()[-1].what, world.told()[-1].state) == ("schedule.backup_late", "resolved")


def test_without_snapshots_a_time_fails_in_words(tmp_path, ready_sqlite_url):
    embedded = World(tmp_path, ready_sqlite_url)
    at(embedded, "2026-11-01T12:00")
    declare(embedded)
    sweep.sweep_schedules(embedded.services)
    at(embedded, "2026-11-02T03:00")
    take_up(embedded)

    [run] = the_schedule(embedded, "backup")["runs"]
    assert (run["status"], "needs a server" in run["message"]) == ("failed", True)
    embedded.close()
