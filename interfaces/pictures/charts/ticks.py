"""Round places on the axes of charts, and their texts."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from qdrant_rollouts.interfaces.pictures.canvas import text_width
from qdrant_rollouts.interfaces.pictures.charts.plot import TEXT_SIZE
from qdrant_rollouts.interfaces.pictures.scales import round_ticks

#: About so many intervals between the lines of a plot, and at most so many times below it.
_LINES = 3
_TIMES = 4
_MINUTE = 60
_HOUR = 3600
_DAY = 86400
_TIME_STEPS = (
    *(10, 20, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY, 90 * _DAY, 360 * _DAY),
)
#: Between two texts, in pixels.
_AIR = 8.0


def choose_levels(values: Iterable[float]) -> list[float]:
    """Returns round values from 0 to above the highest."""
    high = max(values, default=0.0)
    if high <= 0:
        return [0.0, 1.0]
    levels = round_ticks(0.0, high, _LINES)
    if levels[-1] < high:
        levels.append(levels[-1] + levels[1])
    return levels


def choose_close_levels(values: Sequence[float]) -> list[float]:
    """Returns round values around shares, which may be close to each other."""
    low = min(values)
    high = max(values)
    room = max((high - low) * 0.2, 0.005)
    step = round_ticks(0.0, high - low + 2 * room, _LINES)[1]
    first = math.floor((low - room) / step + 1e-9)
    last = math.ceil((high + room) / step - 1e-9)
    return [
        count * step for count in range(max(first, 0), last + 1) if count * step <= 1 + step / 2
    ]


def choose_times(begun: datetime, ended: datetime) -> list[tuple[datetime, str]]:
    """Returns round times between two, with their texts in UTC."""
    span = (ended - begun).total_seconds()
    step = next((one for one in _TIME_STEPS if span / one <= _TIMES), _TIME_STEPS[-1])
    first = math.ceil(begun.timestamp() / step) * step
    count = max(0, math.floor((ended.timestamp() - first) / step) + 1)
    times = [datetime.fromtimestamp(first + step * number, UTC) for number in range(count)]
    return [(time, _format_time(time, step)) for time in times]


def choose_apart(shares: Sequence[float], texts: Sequence[str], width: float) -> set[int]:
    """Returns which of the texts can stand at these shares of a width without touching each other;
    the last ones have priority."""
    chosen: set[int] = set()
    taken: list[tuple[float, float]] = []
    for number in reversed(range(len(texts))):
        half = (text_width(texts[number], TEXT_SIZE) + _AIR) / 2
        place = shares[number] * width
        if all(place + half <= left or right <= place - half for left, right in taken):
            taken.append((place - half, place + half))
            chosen.add(number)
    return chosen


def spread_out(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Returns places near the wanted ones, ``apart`` from each other and between low and high, as
    far as there is room; in the order of the wanted ones."""
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    placed = [0.0] * len(wanted)
    free = low
    for number in order:
        placed[number] = max(free, wanted[number])
        free = placed[number] + apart
    free = high
    for number in reversed(order):
        placed[number] = min(free, placed[number])
        free = placed[number] - apart
    return placed


def format_amount(value: float, unit: str = "") -> str:
    """Returns a number with three significant digits, and its unit if it is a short one."""
    if unit == "ms" and value >= 1000:
        return format_amount(value / 1000, "s")
    size = abs(value)
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return _add_unit(f"{_shorten(value / (1e3 if letter == 'k' else limit))}{letter}", unit)
    if size >= 1000:
        return _add_unit(f"{value:,.0f}", unit)
    return _add_unit(_shorten(value), unit)


def choose_time_unit(seconds: float) -> tuple[float, str]:
    """Returns the unit in which people say so many seconds, in seconds, and its name."""
    if seconds >= 2 * _HOUR:
        return float(_HOUR), "h"
    if seconds >= 2 * _MINUTE:
        return float(_MINUTE), "min"
    return 1.0, "s"


def _format_time(time: datetime, step: float) -> str:
    if step >= _DAY or (time.hour, time.minute, time.second) == (0, 0, 0):
        return f"{time.day} {time:%b}"
    if step < _MINUTE:
        return f"{time:%H:%M:%S}"
    return f"{time:%H:%M}"


def _shorten(value: float) -> str:
    if value and abs(value) < 0.001:
        return f"{value:.1e}".replace("e-0", "e-")
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:.0f}"


def _add_unit(text: str, unit: str) -> str:
    if not unit:
        return text
    return f"{text}\N{NO-BREAK SPACE}{unit}"
