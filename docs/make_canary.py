"""Simulates canaries and writes their tables into ``docs/canary.md``: ``python -m
docs.make_canary`` (about 14 minutes of a processor; it uses two), or only those that are named:
``python -m docs.make_canary slow``."""

import re
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from docs.simulation import Case, Ending, run
from qdrant_rollouts.core.config.index_file import BreakersSpec

PAGE = Path(__file__).with_name("canary.md")
RUNS = 200
_PROCESSES = 2

#: Shares in basis points, and minutes.
_LONG = ((2500, 120), (5000, 240))

HEALTHY: Mapping[str, Case] = {
    "0.2 searches a second": Case(rate=0.2),
    "0.5 a second": Case(rate=0.5),
    "1 a second": Case(rate=1),
    "2 a second": Case(rate=2),
    "5 a second": Case(rate=5),
    "10 a second": Case(rate=10),
    "50 a second": Case(rate=50),
    "0.2 a second, stages 25 % for 2 h, 50 % for 4 h": Case(rate=0.2, stages=_LONG),
    "10 a second, 3,000 users": Case(users=3000),
    "10 a second, a few users search most": Case(heavy=True),
    "2 a second, 2 % errors on both sides": Case(rate=2, errors=0.02),
    "10 a second, 2 % errors on both sides": Case(errors=0.02),
}
_HARM: Mapping[str, Case] = {
    "5 % slower": Case(slower=1.05),
    "10 % slower": Case(slower=1.10),
    "20 % slower": Case(slower=1.20),
    "50 % slower": Case(slower=1.50),
    "twice as slow": Case(slower=2.0),
    "errors +0.5 points": Case(failing=0.005),
    "errors +1 point": Case(failing=0.01),
    "errors +2 points": Case(failing=0.02),
    "errors +5 points": Case(failing=0.05),
}
HARM: Mapping[str, Case] = {
    f"{words}, {rate} a second": replace(case, rate=rate)
    for rate in (2, 10)
    for words, case in _HARM.items()
} | {
    "errors +2 points, 2 a second, a look every minute": Case(rate=2, failing=0.02, look_minutes=1)
}


_SLOW: Mapping[str, Case] = {
    "blue 20 ms, green the same": Case(),
    "blue 150 ms, green the same": Case(median_ms=150),
    "blue 1,062 ms, green the same": Case(median_ms=1062),
    "blue 1,062 ms, green 688 ms": Case(median_ms=1062, slower=688 / 1062),
    "blue 1,062 ms, green 1,800 ms": Case(median_ms=1062, slower=1800 / 1062),
    "blue 150 ms, green 300 ms": Case(median_ms=150, slower=2),
}
#: A limit in milliseconds alone, whatever blue takes.
_ABSOLUTE = BreakersSpec.model_validate({"mean_latency_ms": 200})
_PROMISED = "`mean_latency_ms: 200`"


@dataclass(frozen=True, slots=True)
class Table:
    """Two variants of the same canaries side by side. ``counts_searches``: the first variant has a
    column with green's searches."""

    cases: Mapping[str, Case]
    variants: tuple[Callable[[Case], Case], Callable[[Case], Case]]
    second: str
    counts_searches: bool

    def draw_row(self, processes: Executor, words: str, runs: int) -> str:
        cells = []
        for number, change in enumerate(self.variants):
            case = change(self.cases[words])
            ends = list(processes.map(partial(run, case), range(runs), chunksize=5))
            cells += [*_count_ends(ends), _median([end.minutes for end in ends])]
            if self.counts_searches and number == 0:
                cells.append(_median([end.searches for end in ends]))
        return f"| {words} | {' | '.join(cells)} |"

    def draw_head(self) -> list[str]:
        columns = ["canary", "promoted", "asked a person", "rolled back", "minutes, median"]
        if self.counts_searches:
            columns.append("searches of green, median")
        columns += [f"{self.second}: promoted", *columns[2:5]]
        return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


_PROCEED_OR_PAUSE = (
    lambda case: replace(case, undecided="proceed"),
    lambda case: replace(case, undecided="pause"),
)
TABLES: Mapping[str, Table] = {
    "healthy": Table(HEALTHY, _PROCEED_OR_PAUSE, "`pause`", counts_searches=True),
    "harm": Table(HARM, _PROCEED_OR_PAUSE, "`pause`", counts_searches=True),
    "slow": Table(
        _SLOW,
        (lambda case: case, lambda case: replace(case, breakers=_ABSOLUTE)),
        _PROMISED,
        counts_searches=False,
    ),
}


def main(file: Path, runs: int, names: Sequence[str] = tuple(TABLES)) -> None:
    """Writes the tables of these names into ``file``, each row from this many simulated
    canaries."""
    page = file.read_text(encoding="utf-8")
    with ProcessPoolExecutor(_PROCESSES) as processes:
        for name in names:
            table = TABLES[name]
            rows = [table.draw_row(processes, words, runs) for words in table.cases]
            lines = "\n".join([*table.draw_head(), *rows])
            between = f"<!-- {name} -->\n{lines}\n<!-- end of {name} -->"
            page = re.sub(
                rf"<!-- {name} -->.*<!-- end of {name} -->", between, page, flags=re.DOTALL
            )
    file.write_text(page, encoding="utf-8")


def _count_ends(ends: Sequence[Ending]) -> list[str]:
    found = Counter(end.how for end in ends)
    return [str(found[how]) for how in ("promoted", "held", "rolled back")]


def _median(values: Sequence[int]) -> str:
    return f"{statistics.median(values):,.0f}"


if __name__ == "__main__":
    main(PAGE, RUNS, sys.argv[1:] or tuple(TABLES))
