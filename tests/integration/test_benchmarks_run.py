"""Every benchmark still runs to its end. Its figures are not checked here, because the machine is
busy with other tests."""

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS

ROOT = Path(__file__).parents[2]


#: They mostly wait for servers, so several at a time take a third of the time.
AT_ONCE = 4

Ran = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def runs() -> dict[str, Future[Ran]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {name: pool.submit(run, name) for name in BENCHMARKS}


def run(name: str) -> Ran:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--size", "smallest"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_ends_well_and_prints_its_table(runs, name):
    ran = runs[name].result()
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert f"{name}, load before" in ran.stdout


def test_the_page_of_figures_is_of_one_run_of_all_benchmarks():
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    head, *parts = page.split("\n## ")
    assert [part.partition("\n")[0] for part in parts] == list(BENCHMARKS)
    assert head.count("Figures of one run of `python -m benchmarks") == 1
    assert "--write docs/benchmarks.md`" in head
