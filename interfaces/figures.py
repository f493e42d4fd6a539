"""Numbers of experiments for people: with their unit, sign and interval, or the reason why there is
none."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.statistics import spans

#: Durations of experiments and of their limits.
days = spans.format_days

Seen = Mapping[str, Any]
#: Keeps a number and its unit, and the parts of an interval, on one line.
_SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Unit:
    """How a metric's value and a difference of two are written. ``logarithm``: the values are means
    of a logarithm, so a difference is a factor, and is written in percent."""

    value: Callable[[float], str]
    change: Callable[[float], str]
    logarithm: bool = False

    def between(self, control: float, treatment: float) -> str:
        """Treatment minus control, in the unit of the value."""
        if self.logarithm:
            return _format_milliseconds((math.exp(treatment) - math.exp(control)) / 1000, "+")
        return self.change(treatment - control)


def unit_by_name(name: str) -> Unit:
    """For a comparison, which names its unit."""
    return {"log_ms": _LOG_MS, "seconds": _DURATION, "share": _SHARE}.get(name, _PLAIN)


def unit_of_metric(metric: Seen) -> Unit:
    """For a metric of an experiment's ``spec``."""
    if metric["kind"] == "quantile":
        return _DURATION
    if metric["source"] == "latency" and metric["kind"] == "ratio" and not metric["relative"]:
        return _LOG_MS
    if metric["kind"] == "proportion" or metric["source"] in ("errors", "zero_results"):
        return _SHARE
    return _PLAIN


def format_percent(share: float, sign: str = "+") -> str:
    digits = 1 if abs(share) < 10 else 0
    return f"{share * 100:{sign},.{digits}f}{_SPACE}%"


def format_basis_points(basis: int) -> str:
    """Basis points, in percent."""
    return f"{basis / 100:g}{_SPACE}%"


def format_p(value: float | None) -> str:
    if value is None:
        return ""
    if value < 0.0001:
        return "<0.0001"
    if value < 0.1:
        return f"{value:.4f}"
    return f"{value:.2f}"


def format_count(number: float) -> str:
    return f"{math.ceil(number):,}"


def format_interval(
    write: Callable[[float], str], middle: float, low: float | None, high: float | None
) -> str:
    """The unit is written once if all three have the same."""
    if low is None or high is None:
        return write(middle)
    told = [write(number) for number in (middle, low, high)]
    numbers = [text.rpartition(_SPACE) for text in told]
    same = len({unit for *_, unit in numbers}) == 1 and all(sign for _, sign, _ in numbers)
    ends = [number for number, *_ in numbers[1:]] if same else told[1:]
    return f"{told[0]} [{ends[0]},{_SPACE}{ends[1]}]"


def _format_milliseconds(seconds: float, sign: str = "") -> str:
    if abs(seconds) >= 1:
        return f"{seconds:{sign}.2f}{_SPACE}s"
    return f"{seconds * 1000:{sign}.{1 if abs(seconds) >= 0.01 else 2}f}{_SPACE}ms"


_LOG_MS = Unit(
    lambda mean: _format_milliseconds(math.exp(mean) / 1000),
    lambda change: format_percent(math.expm1(change)),
    logarithm=True,
)
_DURATION = Unit(_format_milliseconds, lambda change: _format_milliseconds(change, "+"))
_SHARE = Unit(
    lambda share: f"{share:.2%}".replace("%", f"{_SPACE}%"),
    lambda change: f"{change * 100:+.2f}{_SPACE}points",
)
_PLAIN = Unit(lambda value: f"{value:.4g}", lambda change: f"{change:+.4g}")
