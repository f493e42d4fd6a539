"""What a benchmark answers, and how a ratio is taken on a machine that does other things too.

Rule: speed is a ratio against a named baseline of the same run. Both are measured in turn, several
times over, and the ratio is the median of the pairs': a busy moment then meets both, and one bad
pair moves nothing.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Size(StrEnum):
    FULL = "full"
    CI = "ci"
    #: Only shows that the benchmark runs to its end: no bound is held against figures of so little.
    SMALLEST = "smallest"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of a table. ``value``, ``baseline`` and ``bound`` are words with their units; ``ok``
    is None for what is only worth knowing."""

    name: str
    value: str
    baseline: str = ""
    ratio: float | None = None
    bound: str = ""
    ok: bool | None = None


def ratio_of_at_least(name: str, value: str, baseline: str, ratio: float, bound: float) -> Result:
    return Result(name, value, baseline, ratio, f"at least {bound:g}", ratio >= bound)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Of ``above`` to ``below``, pair by pair."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def rates(count: int, taken: Sequence[float], unit: str) -> str:
    """The median rate, and the lowest and highest, of ``count`` things in each of ``taken``
    seconds."""
    found = sorted(count / one for one in taken)
    return f"{statistics.median(found):,.0f} {unit}/s ({found[0]:,.0f} to {found[-1]:,.0f})"
