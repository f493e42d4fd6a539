"""The same faults against a plain Celery chain. If the tests proved nothing, the chain would pass
them too."""

import os
from pathlib import Path

import pytest
import redis

from tests.acceptance import chain
from tests.acceptance.installation import ROOT, Program, until
from tests.acceptance.traps import KILL, Traps
from tests.servers import Redis


def done(traps: Path) -> list[str]:
    file = traps / "chain"
    return file.read_text().split() if file.exists() else []


def nothing_left(broker: Redis) -> bool:
    """Returns whether no queue has a message and no worker holds one."""
    with redis.Redis.from_url(broker.url) as client:
        return not client.exists("control", "unacked")


@pytest.fixture
def run(tmp_path: Path, own_redis: Redis):
    def go(reject: str) -> Program:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "CHAIN_BROKER": own_redis.url,
        }
        environment |= {"CHAIN_REJECT": reject, "ROLLOUTS_TEST_TRAPS": str(tmp_path)}
        Traps(tmp_path).set("chain", "populate", KILL)
        worker = Program("worker", tmp_path, environment, "tests.acceptance.chain", 1).launch()
        started.append(worker)
        until(worker.ready, 60, "the worker")
        chain.start(own_redis.url)
        return worker

    started: list[Program] = []
    yield go
    for worker in started:
        worker.kill()


def test_a_plain_chain_ends_for_ever_where_its_worker_is_killed(
    tmp_path: Path, own_redis: Redis, run
):
    worker = run(reject="")
    until(lambda: "WorkerLostError" in worker.log and nothing_left(own_redis), 30, "the loss")
    assert done(tmp_path) == ["create", "populate"]


def test_a_plain_chain_told_to_repeat_lost_tasks_repeats_what_was_done(
    tmp_path: Path, own_redis: Redis, run
):
    run(reject="1")
    until(lambda: done(tmp_path)[-1:] == ["soak"], 30, "the end of the chain")
    assert done(tmp_path).count("populate") == 2
