"""Tests that fail while the machine stands still are run again, and no others: pytest in a process
that is stopped."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.standstill import STILL

ROOT = Path(__file__).parents[2]
#: Fails where its measurement, a fixture of its file, took as long as the standstill.
MEASURES = """
import time, pathlib, pytest

@pytest.fixture(scope="module")
def took():
    began = time.time()
    pathlib.Path("begun").touch()
    time.sleep(1)
    return time.time() - began

def test_it_is_there(took):
    pass

def test_it_takes_a_second(took):
    assert took < 4
"""
FAILS = (
    MEASURES
    + """
def test_it_takes_no_time(took):
    assert took < 0.5
"""
)
#: Has something open when it fails.
LEAKS = MEASURES.replace(
    "assert took < 4", "file = open('left', 'w'); assert took < 4; file.close()"
)


def run(folder: Path, text: str, still: float = 0) -> str:
    """What pytest says of a file whose measurement meets a standstill of so many seconds."""
    (folder / "test_it.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.standstill",
        "-p",
        "no:cacheprovider",
        "-q",
        "test_it.py",
    ]
    command += ["-W", "error"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as pytests:
        while not (folder / "begun").exists():
            time.sleep(0.02)
        if still:
            os.kill(pytests.pid, signal.SIGSTOP)
            time.sleep(still)
            os.kill(pytests.pid, signal.SIGCONT)
        return pytests.communicate(timeout=60)[0]


#: By what happens: the file, and the seconds of the standstill.
RUNS = {
    "spoiled": (MEASURES, STILL + 1),
    "left open": (LEAKS, STILL + 1),
    "fails again": (FAILS, STILL + 1),
    "no standstill": (FAILS, 0),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What pytest says in each case. They run at the same time, because they mostly wait."""
    with ThreadPoolExecutor(len(RUNS)) as pool:
        running = {
            name: pool.submit(run, tmp_path_factory.mktemp("run"), *given)
            for name, given in RUNS.items()
        }
    return {name: future.result() for name, future in running.items()}


def test_what_a_standstill_spoiled_is_measured_again_and_told(said: dict[str, str]):
    assert "2 passed, 1 rerun" in said["spoiled"]
    assert (
        "RERUN test_it.py::test_it_takes_a_second: the machine stood still for" in said["spoiled"]
    )


def test_what_a_standstill_left_open_fails_no_run_that_passed(said: dict[str, str]):
    assert "2 passed, 1 rerun" in said["left open"]
    assert "ResourceWarning" not in said["left open"]


def test_what_fails_again_after_a_standstill_fails(said: dict[str, str]):
    assert "1 failed, 2 passed, 1 rerun" in said["fails again"]


def test_what_fails_on_a_machine_that_did_not_stand_still_fails(said: dict[str, str]):
    assert "1 failed, 2 passed" in said["no standstill"]
