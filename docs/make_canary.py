"""Simulates canaries and writes their tables into ``docs/understand/canary-measured.md``: ``python
-m docs.make_canary`` (about 12 minutes of a processor; it uses two)."""

import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from docs.simulation import Case, Ending, run

PAGE = Path(__file__).with_name("understand") / "canary-measured.md"
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


def main(file: Path, runs: int) -> None:
    """Writes the tables into ``file``, each row from this many simulated canaries."""
    page = file.read_text(encoding="utf-8")
    with ProcessPoolExecutor(_PROCESSES) as processes:
        for name, cases in (("healthy", HEALTHY), ("harm", HARM)):
            rows = [_row(processes, words, case, runs) for words, case in cases.items()]
            lines = "\n".join([_TITLE, _RULE, *rows])
            between = f"<!-- {name} -->\n{lines}\n<!-- end of {name} -->"
            page = re.sub(
                rf"<!-- {name} -->.*<!-- end of {name} -->", between, page, flags=re.DOTALL
            )
    file.write_text(page, encoding="utf-8")


_TITLE = (
    "| canary | promoted | asked a person | rolled back | minutes, median | searches of green, "
    "median | `pause`: promoted | asked a person | rolled back | minutes, median |"
)
_RULE = "|---|---|---|---|---|---|---|---|---|---|"


def _row(processes: Executor, words: str, case: Case, runs: int) -> str:
    proceeding, pausing = (
        list(processes.map(partial(run, replace(case, undecided=rule)), range(runs), chunksize=5))
        for rule in ("proceed", "pause")
    )
    cells = [
        *_count_ends(proceeding),
        _median([end.minutes for end in proceeding]),
        _median([end.searches for end in proceeding]),
        *_count_ends(pausing),
        _median([end.minutes for end in pausing]),
    ]
    return f"| {words} | {' | '.join(cells)} |"


def _count_ends(ends: Sequence[Ending]) -> list[str]:
    found = Counter(end.how for end in ends)
    return [str(found[how]) for how in ("promoted", "held", "rolled back")]


def _median(values: Sequence[int]) -> str:
    return f"{statistics.median(values):,.0f}"


if __name__ == "__main__":
    main(PAGE, RUNS)
