"""A process reports that it is alive, on both databases, and nothing stops it."""

import logging
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from qdrant_rollouts.adapters import presence
from qdrant_rollouts.adapters.database import DatabaseClock, open_engine, open_sessions
from qdrant_rollouts.adapters.presence import Presence, Process
from qdrant_rollouts.core.deployments import workers
from qdrant_rollouts.core.deployments.workers import Task

ROOT = Path(__file__).parents[2]


def roster(url):
    engine = open_engine(url)
    try:
        with open_sessions(engine)() as session:
            return workers.list_known_workers(session, DatabaseClock().now(session))
    finally:
        engine.dispose()


def until(found):
    deadline = time.monotonic() + 30
    while not (answer := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def test_the_row_comes_at_once_and_goes_with_a_stop(ready_url):
    process = Process("bulk@one", "worker")
    work = (Task("deployments.populate", None, 3.0),)
    there = Presence(
        ready_url, lambda: process.describe(queues=("bulk",), concurrency=1, busy=work)
    )
    there.start()
    (row,) = until(lambda: roster(ready_url))
    assert row.answers
    assert not row.clock_is_off
    assert [one.words for one in row.busy] == ["deployments.populate"]
    there.stop()
    assert roster(ready_url) == []


def test_a_clock_that_is_wrong_is_measured(ready_url):
    process = Process("bulk@one", "worker")
    there = Presence(ready_url, process.describe, lambda: time.time() - 7200)
    there.start()
    (row,) = until(lambda: roster(ready_url))
    there.stop()
    assert row.clock_offset == pytest.approx(-7200, abs=1.0)


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody:geheim@127.0.0.1:1/none", "sqlite:////proc/none/state.db"],
    ids=["postgres", "sqlite"],
)
def test_a_database_that_is_away_stops_nothing(url, caplog):
    asked = threading.Event()

    def look():
        asked.set()
        return Process("bulk@one", "worker").describe()

    with caplog.at_level(logging.DEBUG):
        there = Presence(url, look)
        there.start()
        assert asked.wait(30)
        there.stop()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert "could not take its row away" in caplog.text
    assert "geheim" not in caplog.text


def test_it_is_warned_of_once_a_minute_and_only_when_the_last_row_is_too_old(caplog):
    moment = [0.0]
    there = Presence(
        "postgresql://nobody:geheim@127.0.0.1:1/none",
        Process("bulk@one", "worker").describe,
        now=lambda: moment[0],
    )
    warned = []
    for second in range(0, 200, 10):
        moment[0] = float(second)
        caplog.clear()
        there.tell()
        warned += [(second, record.getMessage()) for record in caplog.records]
    assert [second for second, _ in warned] == [30, 90, 150]
    assert "could not report for 150 s that it is alive" in warned[-1][1]
    assert "geheim" not in str(warned)


FORKS = """
import os, sys, threading, time
from adapters.presence import Presence, Process
from adapters.database import open_engine
from sqlalchemy import text

url = sys.argv[1]
inside, go_on = threading.Event(), threading.Event()

class Queues(tuple):
    def __iter__(self):  # looked at in the middle of the transaction
        inside.set()
        go_on.wait()
        return super().__iter__()

process = Process("bulk@one", "worker")
there = Presence(url, lambda: process.describe(queues=Queues(("bulk",))))
there.start()
assert inside.wait(30)
threading.Timer(0.5, go_on.set).start()
child = os.fork()
if child == 0:
    engine = open_engine(url, pooled=False)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO service_clock (id, elapsed, last) "
"VALUES (7, 0, '2026-01-01 00:00:00')"))
    os._exit(0)
_, status = os.waitpid(child, 0)
there.stop()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_child_that_is_begun_meanwhile_can_write(ready_url):
    """Begun in the middle of the transaction, a child of SQLite's would take its parent's locks for
    its own process's, and never write."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORKS), ready_url],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    engine = open_engine(ready_url)
    with engine.connect() as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM service_clock WHERE id = 7")).scalar()
            == 1
        )
    engine.dispose()
    assert workers.ANSWERS.total_seconds() >= presence.EVERY * 3
