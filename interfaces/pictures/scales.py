"""From numbers to positions and words: ranges, ticks, decimals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_rollouts.interfaces.pictures.reading import Group, Point

MINUS = "\N{MINUS SIGN}"
#: A number and its unit stay on one line.
_GAP = "\N{NO-BREAK SPACE}"
_STEPS = (1, 2, 5, 10)
#: Early intervals are wide. Beyond this many times the current values, they are cut off at the edge
#: of the panel.
_EARLY = 0.6
_AIR = 0.08


@dataclass(frozen=True, slots=True)
class Scale:
    """Linear: ``low`` is at ``start``, ``high`` at ``end``, in pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def value_range(group: Group) -> tuple[float, float]:
    """The differences that a metric's panels show: 0, the margin, the latest intervals, and as much
    of the early ones as leaves these readable."""
    latest = [value for panel in group.panels for value in _latest_known(panel.points)]
    margin = [] if group.margin is None else [group.margin]
    core = [0.0, *margin, *latest]
    low = min(core)
    high = max(core)
    room = (high - low) * _EARLY
    every = [value for point in group.points for value in point.known]
    low = max(low - room, min([low, *every]))
    high = min(high + room, max([high, *every]))
    air = ((high - low) or 1.0) * _AIR
    return low - air, high + air


def round_ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, about this many at most, including 0 if it is
    inside."""
    step = _round_step((high - low) / about)
    return [
        count * step
        for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]


def time_unit(days: float) -> tuple[float, str]:
    """How many of the unit a day has, and its name."""
    if days > 2:
        return 1.0, "days"
    if days > 1 / 12:
        return (24.0, "hours")
    return (1440.0, "minutes")


def format_difference(value: float, step: float, relative: bool) -> str:
    """A difference, with the digits that differences of ``step`` need; in percent if it is
    relative."""
    factor, unit = (100.0, f"{_GAP}%") if relative else (1.0, "")
    shown = _format_fixed(abs(value) * factor, _count_decimals(step * factor))
    sign = MINUS if value < 0 else "+"
    if not any(digit in shown for digit in "123456789"):
        sign = ""
    return f"{sign}{shown}{unit}"


def format_value(value: float) -> str:
    """A value of a metric, with four significant digits; three with a power of ten."""
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    shown = _format_fixed(abs(value), 3 - magnitude)
    return f"{MINUS if value < 0 else ''}{shown}"


def format_margin(value: float, relative: bool) -> str:
    """A difference that a person chose, with at most three significant digits."""
    shown = _format_fixed(
        abs(value) * (100 if relative else 1), 2 - math.floor(math.log10(abs(value) or 1.0))
    )
    if "." in shown and "e" not in shown:
        shown = shown.rstrip("0").rstrip(".")
    return f"{MINUS if value < 0 else '+'}{shown}{f'{_GAP}%' if relative else ''}"


def interval_step(low: float, high: float) -> float:
    """The step of an interval: a twenty-fifth of it, or what shows on which side of 0 its ends
    are."""
    spread = (high - low) or abs(high) or 1.0
    ends = [abs(end) for end in (low, high) if end]
    return max(spread / 2500, min([spread / 25, *ends]))


def _latest_known(points: Sequence[Point]) -> list[float]:
    return next((point.known for point in reversed(points) if point.known), [])


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in _STEPS if power * step >= least * (1 - 1e-9))


def _count_decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _format_fixed(value: float, decimals: int) -> str:
    """Plain digits if people can read them, otherwise powers of ten."""
    if decimals > 7 or value >= 1e9:
        return (
            f"{value:.3g}".replace("e-0", f"e{MINUS}").replace("e-", f"e{MINUS}").replace("e+", "e")
        )
    return f"{value:,.{max(decimals, 0)}f}"
