"""How long ``rollouts --help`` takes, and how much of it is the start of Python itself; and how
much processor time a look takes, ``rollouts list`` in a folder with a database. Shown, and no bound
is held against it: it is no ratio, so a busy machine alone could break it. What a look may load is
held by the tests."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.results import Result, Size, seconds

#: Seconds, of contract section 4; and of processor time for a look.
WANTED = 0.2
LOOK_WANTED = 0.5
ROUNDS = {Size.FULL: 15, Size.CI: 5, Size.SMALLEST: 1}
_ROLLOUTS = str(Path(sys.executable).with_name("rollouts"))


def run(size: Size) -> list[Result]:
    helped: list[float] = []
    bare: list[float] = []
    for _ in range(ROUNDS[size]):
        bare.append(_taken([sys.executable, "-c", "pass"]))
        helped.append(_taken([_ROLLOUTS, "--help"]))
    value = _words(helped)
    baseline = f"{_words(bare)} for Python alone"
    with tempfile.TemporaryDirectory() as folder:
        look = _looked(Path(folder), ROUNDS[size])
    return [Result("rollouts --help", value, baseline, bound=f"{WANTED} s wanted"), look]


def _looked(folder: Path, rounds: int) -> Result:
    settings = {"ROLLOUTS_DATABASE_URL": f"sqlite:///{folder}/state.db"}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ROLLOUTS_")},
        **settings,
    }
    subprocess.run([_ROLLOUTS, "migrate"], check=True, env=environment, stdout=subprocess.DEVNULL)
    look = [_processor([_ROLLOUTS, "list"], environment) for _ in range(rounds)]
    database = [
        _processor([sys.executable, "-c", "import sqlalchemy.orm"], environment)
        for _ in range(rounds)
    ]
    baseline = f"{_words(database)} to load SQLAlchemy alone"
    return Result(
        "rollouts list, processor time", _words(look), baseline, bound=f"{LOOK_WANTED} s wanted"
    )


def _taken(command: list[str]) -> float:
    return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _processor(command: list[str], environment: dict[str, str]) -> float:
    """Seconds that the command has had a processor for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _words(taken: list[float]) -> str:
    return f"{statistics.median(taken):.3f} s ({min(taken):.3f} to {max(taken):.3f})"
