"""Helpers for tests of backups against a real server."""

import hashlib
import time

from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.deployments import backups, engine

ENDS = ("live", "rolled_back", "needs_operator")


def through(world, run, until="the end"):
    """Runs turns until the end, or until the step ``until`` is done, or until it is paused if
    ``until`` says so. The server works in its own time, so looks are not skipped."""
    for _ in range(400):
        seen = world.status(run)
        done = [step["name"] for step in seen["steps"] if step["status"] == "done"]
        if seen["status"] in ENDS or until in (seen["status"], *done):
            return seen
        knock = world.broker.take_next()
        if knock is None:
            world.clock.move(world.services.times.lease + 1)
            engine.knock_overdue_turns(world.services)
            continue
        time.sleep(min(0.1, knock.countdown))
        world.turn(knock)
    raise AssertionError(world.status(run))


def back_up(world, alias):
    seen = through(
        world, backups.create_backup(world.services, alias, actor="anna", reason="before the move")
    )
    assert seen["status"] == "live", seen["message"]
    return seen["id"]


def whole(world):
    """Returns the ids of the complete backups, newest first."""
    return [
        record["backup_id"]
        for record in backups.list_backups(world.services)
        if record["status"] == "done"
    ]


def manifest(backup="one", **settings):
    told = {
        "id": backup,
        "alias": "docs",
        "collection": "docs_1",
        "number": 1,
        "created_at": "2026-11-02T02:00:00Z",
        "actor": "anna",
        "reason": "",
        "server": "1.16.3",
        "metadata": {},
        "schema": {},
        "low": 3,
        "high": 3,
        "sample": [[1, "a"], [2**64 - 1, "b"], ["c0ffee", "c"]],
        "files": [{"name": "a.snapshot", "size": 4, "sha256": hashlib.sha256(b"abcd").hexdigest()}],
        "settings": {},
    }
    return Manifest(**{**told, **settings})
