"""How time is cut into so few intervals that a chart of them can be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from qdrant_rollouts.core.operations.choices import check_choice
from qdrant_rollouts.core.routing.search_history import HOUR, MINUTE, WINDOWS
from qdrant_rollouts.core.times import as_iso, floor_time

#: A chart has at most so many intervals.
MOST_INTERVALS = 240
_INSTANT = timedelta(microseconds=1)
#: Intervals that begin at round times.
_ROUND = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(10, 30, 60, 120, 300, 600, 900, 1800),
        *(hours * 3600 for hours in (1, 2, 3, 6, 12, 24)),
    )
)


@dataclass(frozen=True, slots=True)
class Period:
    """So long until now, from the rows of one ``level``."""

    span: timedelta
    level: str


PeriodName = Literal["1h", "6h", "24h", "7d", "30d", "90d"]
PERIODS: Mapping[str, Period] = {
    "1h": Period(timedelta(hours=1), MINUTE),
    "6h": Period(timedelta(hours=6), MINUTE),
    "24h": Period(timedelta(hours=24), MINUTE),
    "7d": Period(timedelta(days=7), HOUR),
    "30d": Period(timedelta(days=30), HOUR),
    "90d": Period(timedelta(days=90), HOUR),
}
DEFAULT_PERIOD: PeriodName = "24h"


@dataclass(frozen=True, slots=True)
class Axis:
    """``count`` intervals of the length ``window`` from ``begun`` on. What is ``until`` or later is
    not shown, so the last interval may be shorter."""

    begun: datetime
    until: datetime
    window: timedelta
    count: int

    def find_interval(self, at: datetime) -> int | None:
        """Returns the number of the interval; None if ``at`` is not shown."""
        if not self.begun <= at < self.until:
            return None
        return (at - self.begun) // self.window

    def measure_minutes(self, interval: int) -> float:
        """Returns how long an interval is, as far as it is shown."""
        begun = self.begun + interval * self.window
        return (min(begun + self.window, self.until) - begun) / timedelta(minutes=1)

    def list_times(self) -> list[str]:
        return [as_iso(self.begun + interval * self.window) for interval in range(self.count)]


def find_period(name: str) -> Period:
    """Raises Malformed for an unknown one."""
    check_choice("period", name, PERIODS)
    return PERIODS[name]


def cut_period(now: datetime, period: Period) -> Axis:
    """Cuts the time up to the last whole minute: of the present one not everything is known."""
    until = floor_time(now, WINDOWS[MINUTE])
    window = choose_window(period.span, WINDOWS[period.level])
    last = floor_time(until - _INSTANT, window)
    count = period.span // window
    return Axis(last - (count - 1) * window, until, window, count)


def cut_span(begun: datetime, until: datetime, least: timedelta) -> Axis:
    """Cuts a time that begins at any moment into intervals of at least ``least``."""
    window = choose_window(until - begun, least)
    first = floor_time(begun, window)
    return Axis(first, max(until, first + window), window, max(1, -(-(until - first) // window)))


def choose_window(span: timedelta, least: timedelta) -> timedelta:
    """Returns the shortest round interval, not shorter than ``least``, of which at most
    ``MOST_INTERVALS`` cover the span."""
    for window in _ROUND:
        if window >= least and span <= window * MOST_INTERVALS:
            return window
    return _ROUND[-1] * -(-span // (_ROUND[-1] * MOST_INTERVALS))
