"""``rollouts migrate`` as a person and a supervisor use it, and a web process that is started
before it."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.database import open_engine
from tests.contract.test_releases import NEXT, left_by_the_next_release
from tests.contract.test_versions_migration import moved
from tests.servers import free_ports

ROOT = Path(__file__).parents[2]
HEAD = migrations.HEAD


@pytest.fixture
def rollouts(tmp_path):
    """``rollouts(url, *arguments)``: a process."""

    def run(url, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "ROLLOUTS_DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def told(done):
    found = json.loads(done.stdout)
    return done.returncode, found["from"], found["to"], found["needed"], found["changed"]


def test_it_says_from_what_to_what_and_does_nothing_twice(rollouts, database_url):
    assert told(rollouts(database_url, "migrate", "--check", "--json")) == (
        1,
        None,
        HEAD,
        True,
        False,
    )
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: told(rollouts(database_url, "migrate", "--json")), range(2)))
    assert sorted(both, key=str) == sorted(
        [(0, None, HEAD, True, True), (0, HEAD, HEAD, False, False)], key=str
    )
    done = rollouts(database_url, "migrate", "--check")
    assert (done.returncode, "nothing to do" in done.stdout) == (0, True)


def test_a_database_of_another_release_is_told_apart(rollouts, ready_url):
    engine = open_engine(ready_url)
    moved(engine, "0012")
    done = rollouts(ready_url, "migrate", "--check")
    assert (done.returncode, f"from revision 0012 to {HEAD}" in done.stdout) == (1, True)
    assert f"brought from revision 0012 to {HEAD}" in rollouts(ready_url, "migrate").stdout
    left_by_the_next_release(engine, HEAD)
    done = rollouts(ready_url, "migrate")
    assert (
        done.returncode,
        f"{NEXT}, newer than this program's {HEAD}, which works on it" in done.stdout,
    ) == (0, True)
    left_by_the_next_release(engine, NEXT)
    engine.dispose()
    for arguments in (["migrate"], ["migrate", "--check"], ["list"], ["pause", "abc"]):
        done = rollouts(ready_url, *arguments)
        assert (done.returncode, "update the program" in done.stderr) == (2, True), arguments


def test_a_web_process_that_comes_first_waits_for_its_tables(
    rollouts, ready_postgres_url, qdrant_url, tmp_path
):
    engine = open_engine(ready_postgres_url)
    moved(engine, "0012")
    engine.dispose()
    (port,) = free_ports(1)
    settings = {"ROLLOUTS_DATABASE_URL": ready_postgres_url, "ROLLOUTS_QDRANT_URL": qdrant_url}
    command = [sys.executable, "-m", "qdrant_rollouts.interfaces.cli", "web", f"--port={port}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as web:
        try:
            assert "waiting: " in web.stderr.readline()
            assert rollouts(ready_postgres_url, "migrate").returncode == 0
            assert answers(web, port) == {"status": "ok"}
        finally:
            web.terminate()
            web.communicate()


def answers(web, port):
    while web.poll() is None:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).json()
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"it ended with {web.returncode}")
