"""What tests of backups against a real server share."""

import time

from core import backups, engine

ENDS = ("live", "rolled_back", "needs_operator")


def through(world, run):
    """Turns until the end; the server works in its own time, so looks are not hurried past it."""
    for _ in range(400):
        if world.status(run)["status"] in ENDS:
            return world.status(run)
        knock = world.broker.take_next()
        if knock is None:
            world.clock.move(world.services.times.lease + 1)
            engine.overdue(world.services)
            continue
        time.sleep(min(0.1, knock.countdown))
        world.turn(knock)
    raise AssertionError(world.status(run))


def back_up(world, alias):
    seen = through(world, backups.create(world.services, alias, actor="anna", reason="before the move"))
    assert seen["status"] == "live", seen["message"]
    return seen["id"]


def whole(world):
    """Ids of the whole backups, the newest first."""
    return [record["backup_id"] for record in backups.listed(world.services) if record["status"] == "done"]
