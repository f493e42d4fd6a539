"""What ends a canary at once, without statistics: too many errors, or answers that are too slow.

Rule: green is too slow, and fails too often, only beside blue. On a slow machine both are slow, and
while the server does not answer, both fail: then blue helps nobody. But green must answer at least
half as often as blue. A limit that somebody declared in milliseconds alone holds whatever blue
does. A mean of few searches may be high by chance: one search of some seconds among them is enough.
So it counts as too slow only if chance does not explain it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qdrant_rollouts.core.config.index_file import BreakersSpec
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

#: A mean is above a limit for certain if it is so by this many of its standard errors.
_CERTAIN = 3.0


class Look(NamedTuple):
    """What was added between two looks: seconds and searches of green, and of blue at the same
    time."""

    seconds: float
    searches: float
    blue_seconds: float = 0.0
    blue_searches: float = 0.0


@dataclass(frozen=True, slots=True)
class BlueLatency:
    """Blue's mean latency in seconds, None if it is not known, and when it was measured."""

    seconds: float | None
    when: str

    def describe(self) -> str:
        if self.seconds is None:
            return "blue's latency is not known"
        return f"blue took {self.seconds * 1000:,.0f} ms {self.when}"


def is_enough_to_judge(calls: int, errors: int, limits: BreakersSpec) -> bool:
    return calls >= limits.calls or errors >= limits.errors


def measure_error_rate(blue: TrafficSketch, limits: BreakersSpec) -> float | None:
    """Returns which share of blue's searches failed; None if they are too few to judge green by."""
    if blue.calls < limits.calls:
        return None
    return blue.error_rate


def describe_errors(calls: int, errors: int, limits: BreakersSpec, beside: float | None) -> str:
    """Returns that too many searches failed, with the limit and blue's error rate ``beside``, if
    that is known. Empty if they did not, or while they are too few to judge."""
    half_the_answers = (1 + (beside or 0.0)) / 2
    times_blue = limits.times_blue * (beside or 0.0)
    limit = max(limits.error_rate, min(times_blue, half_the_answers))
    if not is_enough_to_judge(calls, errors, limits) or errors <= limit * calls:
        return ""
    said = f"{errors} of {calls} searches failed, {errors / calls:.1%}; {limit:.1%} are tolerated"
    if limit > limits.error_rate:
        by_times = limit == times_blue
        said += f", {limits.times_blue:g} times blue's" if by_times else ", half of blue's answers"
    return said if beside is None else f"{said}; of blue's {beside:.1%} failed"


def find_tripped_breaker(
    tally: TrafficSketch,
    looks: Sequence[Look],
    limits: BreakersSpec,
    blue_so_far: float | None = None,
    blue_errors: float | None = None,
) -> str:
    """Returns why the canary must end at once; empty if it need not. ``looks`` are in the order of
    time; looks without searches of green do not count. ``blue_so_far``: blue's mean latency in
    seconds, for looks in which it answered too few searches to have one. ``blue_errors``: the share
    of blue's searches that failed at the same time, as ``measure_error_rate`` returns it."""
    failed = describe_errors(tally.calls, tally.errors, limits, blue_errors)
    if failed:
        return failed
    seen = [look for look in looks if look.searches][-limits.looks :]
    if len(seen) < limits.looks:
        return ""
    searches = sum(look.searches for look in seen)
    mean = sum(look.seconds for look in seen) / searches
    answered = sum(look.blue_searches for look in seen)
    blue = BlueLatency(blue_so_far, "before")
    if answered >= limits.calls:
        blue = BlueLatency(sum(look.blue_seconds for look in seen) / answered, "at the same time")
    what = f"the mean latency of the last {limits.looks} looks"
    return describe_slow(mean, what, find_doubt(tally, searches), blue, limits)


def find_doubt(tally: TrafficSketch, searches: float) -> float:
    """Returns by how many seconds the mean of so many of these searches may be too high by
    chance."""
    return _CERTAIN * tally.columns().spread() / math.sqrt(searches)


def describe_slow(
    mean: float, what: str, doubt: float, blue: BlueLatency, limits: BreakersSpec
) -> str:
    """Returns why green is too slow, with its limit and blue's latency; empty if it is not, or not
    for certain."""
    beside = blue.seconds or 0.0
    limit = max(limits.mean_latency_ms, limits.times_blue * beside * 1000)
    if (mean - doubt) * 1000 <= limit:
        return ""
    return (
        f"{mean * 1000:,.0f} ms is {what}, {limit:,.0f} ms are tolerated"
        f"{_describe_limit(limit, limits)}; {blue.describe()}"
    )


def _describe_limit(limit: float, limits: BreakersSpec) -> str:
    if limit > limits.mean_latency_ms:
        return f", {limits.times_blue:g} times blue's"
    return ""
