"""Population memory: how much more the populating process takes while it reads vectors from JSONL
and writes them.

A process of its own runs a whole deployment on a real Qdrant server, and its resident set is
sampled from outside; once with a tenth of the records and once with all, for it must not grow with
their number. The collection is made without HNSW (m: 0), so that the cores do not go into an index
nobody searches.
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.installation import declare
from benchmarks.results import Result, Size
from tests.servers import Elsewhere, Qdrant

RECORDS = {Size.FULL: 1_000_000, Size.CI: 100_000, Size.SMALLEST: 2_000}
#: MB of 1,000,000 bytes: over the process's start (issue 2), and over what a tenth of the records
#: needs.
MOST = 400.0
MOST_OVER_TENTH = 32.0
_DIMENSIONS = 384
_PIECES = 4
_EVERY = 0.05
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Memory:
    """MB of resident set at the start and at most, sampled every 50 ms; ``seconds`` in the populate
    step's turns."""

    records: int
    start: float
    most: float
    seconds: float

    @property
    def growth(self) -> float:
        return self.most - self.start


def run(size: Size) -> list[Result]:
    with Qdrant() as server:
        tenth = measure(RECORDS[size] // 10, server)
        whole = measure(RECORDS[size], server)
    return [
        _at_most(
            f"{_words(whole)}: most over the start",
            whole.growth,
            f"{whole.start:.0f} MB at the start",
            MOST,
        ),
        _at_most(
            f"{_words(whole)}: most over that of {tenth.records:,}",
            whole.growth - tenth.growth,
            f"{tenth.growth:.0f} MB over the start",
            MOST_OVER_TENTH,
        ),
        Result(f"{_words(whole)}: populate step", f"{whole.records / whole.seconds:,.0f} points/s"),
    ]


def measure(records: int, server: Qdrant | Elsewhere) -> Memory:
    """One deployment of so many records, as the index ``vectors_RECORDS``."""
    alias = f"vectors_{records}"
    with tempfile.TemporaryDirectory(prefix="rollouts-memory-") as name:
        folder = Path(name)
        _write(folder / "vectors.jsonl", records)
        declare(
            folder,
            {alias: {"source": f"jsonl:{folder}/vectors.jsonl", "collection": {"hnsw": {"m": 0}}}},
        )
        return _watched(records, [name, server.url, str(server.grpc_port), alias])


def _watched(records: int, arguments: list[str]) -> Memory:
    command = [sys.executable, "-m", "benchmarks.populating", *arguments]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        watched = psutil.Process(process.pid)
        start = _resident(watched)
        process.stdin.write("go\n")
        process.stdin.flush()
        most = max(_samples(watched))
        spent = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"the populating process ended with code {process.returncode}")
    return Memory(records, start, most, json.loads(spent)["populate"])


def _samples(process: psutil.Process) -> Iterator[float]:
    pause = threading.Event()
    while process.status() != psutil.STATUS_ZOMBIE:
        yield _resident(process)
        pause.wait(_EVERY)


def _resident(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def _write(path: Path, records: int) -> None:
    """Vectors put together from ready-written pieces: different ones, at the speed of joining
    strings."""
    rng = np.random.default_rng(7)
    numbers = rng.standard_normal((1_000, _DIMENSIONS // _PIECES)).round(4).tolist()
    pieces = [", ".join(map(str, row)) for row in numbers]
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, records, 10_000):
            chosen = rng.integers(
                len(pieces), size=(min(10_000, records - start), _PIECES)
            ).tolist()
            file.writelines(
                _line(start + at, [pieces[one] for one in row]) for at, row in enumerate(chosen)
            )


def _line(number: int, pieces: list[str]) -> str:
    return f'{{"id": {number}, "title": "record {number}", "vector": [{", ".join(pieces)}]}}\n'


def _words(memory: Memory) -> str:
    return f"{memory.records:,} records"


def _at_most(name: str, found: float, baseline: str, bound: float) -> Result:
    return Result(
        name, f"{found:.0f} MB", baseline, bound=f"under {bound:.0f} MB", ok=found < bound
    )
