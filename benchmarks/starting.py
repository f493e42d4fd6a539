"""How long ``rollouts --help`` takes, and how much of it is the start of Python itself; how much
processor time a look takes, ``rollouts list`` in a folder with a database; and what an application
pays that imports this package beside qdrant-client. Of seconds only a ratio is held to a bound: a
busy machine alone could break others. What a look and an application may load is held by the tests.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import Result, Size, median_ratio, seconds

#: Seconds, of contract section 4; and of processor time for a look.
WANTED = 0.2
LOOK_WANTED = 0.5
#: Of an import, over that of qdrant-client alone: processor time, which is 0.4 s where that takes
#: 0.7 s, and megabytes.
MOST_TIMES = 1.6
MOST_MEGABYTES = 60
_PUBLIC = "open_router, open_async_router, QdrantClient, AsyncQdrantClient, Refused, Unavailable"
_MEASURE = """
import re, time
print(time.process_time() - started)
print(int(re.search(r"VmRSS:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1000)
"""
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
    start = Result("rollouts --help", value, baseline, bound=f"{WANTED} s wanted")
    return [start, look, *_import_public_names(ROUNDS[size])]


def _import_public_names(rounds: int) -> list[Result]:
    ours: list[tuple[float, float]] = []
    alone: list[tuple[float, float]] = []
    for _ in range(rounds):
        ours.append(_import(f"from qdrant_rollouts import {_PUBLIC}"))
        alone.append(_import("import qdrant_client"))
    took = [used for used, _ in ours]
    took_alone = [used for used, _ in alone]
    memory = statistics.median(megabytes for _, megabytes in ours)
    memory_alone = statistics.median(megabytes for _, megabytes in alone)
    ratio = median_ratio(took, took_alone)
    return [
        Result(
            "import of the public names, processor time",
            _words(took),
            f"{_words(took_alone)} for qdrant_client alone",
            ratio,
            f"at most {MOST_TIMES}",
            ratio <= MOST_TIMES,
        ),
        Result(
            "import of the public names, memory",
            f"{memory:.0f} MB",
            f"{memory_alone:.0f} MB for qdrant_client alone",
            bound=f"at most {MOST_MEGABYTES} MB more",
            ok=memory - memory_alone <= MOST_MEGABYTES,
        ),
    ]


def _import(statement: str) -> tuple[float, float]:
    """Seconds of processor time that the statement takes in a new process, and the megabytes that
    the process has after it."""
    program = f"import time; started = time.process_time()\n{statement}\n{_MEASURE}"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    took, memory = map(float, done.stdout.split())
    return took, memory


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


def _words(taken: Sequence[float]) -> str:
    return f"{statistics.median(taken):.3f} s ({min(taken):.3f} to {max(taken):.3f})"
