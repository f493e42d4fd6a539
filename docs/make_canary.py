"""Simulates canaries and writes their tables into ``docs/canary.md``: ``python -m
docs.make_canary`` (some minutes)."""

import re
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from docs.simulation import Case, Ending, run

PAGE = Path(__file__).with_name("canary.md")
RUNS = 200

HEALTHY: Mapping[str, Case] = {
    "50 searches a second": Case(rate=50),
    "10 a second": Case(rate=10),
    "5 a second": Case(rate=5),
    "2 a second": Case(rate=2),
    "10 a second, 3,000 users": Case(users=3000),
    "10 a second, a few users search most": Case(heavy=True),
    "10 a second, 2 % errors on both sides": Case(errors=0.02),
    "10 a second, a look every minute": Case(look_minutes=1),
}
HARM: Mapping[str, Case] = {
    "5 % slower": Case(slower=1.05),
    "10 % slower": Case(slower=1.10),
    "20 % slower": Case(slower=1.20),
    "50 % slower": Case(slower=1.50),
    "errors +0.5 points": Case(failing=0.005),
    "errors +1 point": Case(failing=0.01),
    "errors +5 points": Case(failing=0.05),
}


def main(file: Path, runs: int) -> None:
    """Writes the tables into ``file``, each row from this many simulated canaries."""
    page = file.read_text(encoding="utf-8")
    for name, cases in (("healthy", HEALTHY), ("harm", HARM)):
        lines = [_TITLE, _RULE, *(_row(words, case, runs) for words, case in cases.items())]
        between = f"<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- end of {name} -->"
        page = re.sub(rf"<!-- {name} -->.*<!-- end of {name} -->", between, page, flags=re.DOTALL)
    file.write_text(page, encoding="utf-8")


_TITLE = (
    "| canary | promoted | asked a person | rolled back | minutes, median | searches of green, "
    "median |"
)
_RULE = "|---|---|---|---|---|---|"


def _row(words: str, case: Case, runs: int) -> str:
    ends = [run(case, seed) for seed in range(runs)]
    found = Counter(end.how for end in ends)
    middle = [
        f"{statistics.median(values):,.0f}" for values in zip(*map(_figures, ends), strict=True)
    ]
    return (
        f"| {words} | {found['promoted']} | {found['held']} | {found['rolled back']} | "
        f"{' | '.join(middle)} |"
    )


def _figures(end: Ending) -> tuple[int, int]:
    return end.minutes, end.searches


if __name__ == "__main__":
    main(PAGE, RUNS)
