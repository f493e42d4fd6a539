"""How long ``rollouts --help`` takes, and how much of it is the start of Python itself. Shown, and no bound is held
against it: it is no ratio, so a busy machine alone could break it."""

import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.results import Result, Size, seconds

#: Seconds, of contract section 4.
WANTED = 0.2
ROUNDS = {Size.FULL: 15, Size.CI: 5, Size.SMALLEST: 1}


def run(size: Size) -> list[Result]:
    helped: list[float] = []
    bare: list[float] = []
    for _ in range(ROUNDS[size]):
        bare.append(_taken([sys.executable, "-c", "pass"]))
        helped.append(_taken([str(Path(sys.executable).with_name("rollouts")), "--help"]))
    value, baseline = _words(helped), f"{_words(bare)} for Python alone"
    return [Result("rollouts --help", value, baseline, bound=f"{WANTED} s wanted")]


def _taken(command: list[str]) -> float:
    return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _words(taken: list[float]) -> str:
    return f"{statistics.median(taken):.3f} s ({min(taken):.3f} to {max(taken):.3f})"
