"""Rearranges the report of an experiment: from looks with comparisons to panels with points in
time."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Report = Mapping[str, Any]

_MOST = 1e100
#: The logarithm of the largest factor that is drawn.
_LARGEST = 200.0
_DIRECTIONS = {"up": 1, "down": -1, 1: 1, -1: -1}
_ROLES = ("primary", "guardrail", "secondary", "quality")


@dataclass(frozen=True, slots=True)
class Point:
    """One look. All three are None without a number, only the bounds without an interval."""

    days: float
    difference: float | None
    low: float | None
    high: float | None

    @property
    def known(self) -> list[float]:
        return [value for value in (self.low, self.difference, self.high) if value is not None]


@dataclass(frozen=True, slots=True)
class Panel:
    """A treatment in one metric. ``last`` is its latest comparison as reported."""

    variant: str
    points: tuple[Point, ...]
    last: Report


@dataclass(frozen=True, slots=True)
class Group:
    """A metric with all its treatments; they share a scale, so they can be compared by eye."""

    metric: str
    panels: tuple[Panel, ...]

    @property
    def last(self) -> Report:
        return self.panels[-1].last

    @property
    def unit(self) -> str:
        """The unit of the arms' values: ``core.statistics.metric.Unit``."""
        return str(self.last.get("unit") or "plain")

    @property
    def relative(self) -> bool:
        """A difference of logarithms is a factor, and is also written in percent."""
        return bool(self.last.get("relative")) or self.unit == "log_ms"

    @property
    def nature(self) -> str:
        """What the differences are, in words."""
        if self.relative:
            return "difference in percent of control"
        named = {
            "seconds": "difference in milliseconds",
            "share": "difference in percentage points",
        }
        return named.get(self.unit, "absolute difference")

    @property
    def direction(self) -> int:
        """1 if more is better, -1 if less is, 0 if not declared."""
        return _DIRECTIONS.get(self.last.get("direction"), 0)

    @property
    def margin(self) -> float | None:
        """The limit of tolerated harm, as a difference; it is on the worse side."""
        margin = drawable_number(self.last.get("margin"))
        if margin is None or not self.direction:
            return None
        return scale_for_drawing(-self.direction * abs(margin), self.last)

    @property
    def points(self) -> list[Point]:
        return [point for panel in self.panels for point in panel.points]


def group_by_metric(report: Report) -> list[Group]:
    """Returns the metrics by role, then as reported, each with its treatments in the order of their
    first look."""
    found: dict[str, dict[str, list[tuple[float, Report]]]] = {}
    for days, comparison in _iterate_comparisons(report):
        metric = str(comparison["metric"])
        variant = str(comparison["variant"])
        found.setdefault(metric, {}).setdefault(variant, []).append((days, comparison))
    made = [
        Group(metric, tuple(_build_panel(variant, seen) for variant, seen in variants.items()))
        for metric, variants in found.items()
    ]
    return sorted(made, key=_role_rank)


def drawable_number(value: Any) -> float | None:
    """Returns a number that can be drawn, or None; a tiny number becomes 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
        return None
    if abs(value) > 1 / _MOST:
        return float(value)
    return 0.0


def scale_for_drawing(value: float, comparison: Report) -> float:
    """A difference as it is drawn: of logarithms the share, of seconds milliseconds, of shares
    points."""
    unit = comparison.get("unit")
    if unit == "log_ms":
        return math.expm1(min(value, _LARGEST))
    if comparison.get("relative"):
        return value
    return value * {"seconds": 1000.0, "share": 100.0}.get(str(unit), 1.0)


def _iterate_comparisons(report: Report) -> Iterator[tuple[float, Report]]:
    for look in report.get("looks") or ():
        for comparison in look.get("comparisons") or ():
            yield max(drawable_number(look.get("days")) or 0.0, 0.0), comparison


def _build_panel(variant: str, seen: list[tuple[float, Report]]) -> Panel:
    last = seen[-1][1]
    points = sorted(
        (_build_point(days, one, last) for days, one in seen), key=lambda point: point.days
    )
    return Panel(variant, tuple(points), last)


def _build_point(days: float, comparison: Report, last: Report) -> Point:
    """In the unit of the ``last`` look, because earlier ones may not name theirs."""
    found = (drawable_number(comparison.get("difference")), *_verdict_bounds(comparison))
    difference, low, high = (None if one is None else scale_for_drawing(one, last) for one in found)
    if difference is None:
        return Point(days, None, None, None)
    if low is None or high is None:
        return Point(days, difference, None, None)
    return Point(days, difference, low, high)


def _verdict_bounds(comparison: Report) -> tuple[float | None, float | None]:
    """Returns what decides the verdict: one-sided bounds if there are some, else the interval. With
    the interval, which is wider, a guardrail could be not worse and still cross its margin."""
    low = drawable_number(comparison.get("bound_low"))
    high = drawable_number(comparison.get("bound_high"))
    if low is None or high is None:
        return drawable_number(comparison.get("low")), drawable_number(comparison.get("high"))
    return low, high


def _role_rank(group: Group) -> int:
    role = group.last.get("role")
    if role in _ROLES:
        return _ROLES.index(role)
    return len(_ROLES)
