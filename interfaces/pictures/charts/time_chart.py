"""A chart over time: one line for each version, with its name at the end, and an upright line where
the alias moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from qdrant_rollouts.core.answers.charts import AliasMove, Series, TimeChart
from qdrant_rollouts.interfaces.pictures.canvas import (
    Element,
    append_text,
    draw_path,
    draw_text,
    fit_text,
    svg_text,
    text_width,
)
from qdrant_rollouts.interfaces.pictures.charts import plot
from qdrant_rollouts.interfaces.pictures.charts.plot import Place
from qdrant_rollouts.interfaces.pictures.charts.ticks import (
    choose_apart,
    choose_levels,
    choose_times,
    format_amount,
    spread_out,
)
from qdrant_rollouts.interfaces.pictures.scales import Scale

#: Pixels of the scale on the left and of the names on the right, and between two names.
SCALE = 50.0
NAMES = 88.0
_LINE_HEIGHT = 13.0
#: Pixels between a name and its value, as ``append_text`` leaves them.
_VALUE_GAP = 10.0
_SAMPLE = 18.0
_HUES = 4
#: Between two marks of a line there are so many intervals, of a hundred.
_MARK_EVERY = 16
#: A value of the last intervals is a present one.
_PRESENT = 3
#: What a move of an alias was, by its kind.
MOVE_WORDS = {"switch": "went live", "rollback": "back by a rollback", "by_hand": "moved by hand"}
_SIGNS = {"switch": "", "rollback": "↩ ", "by_hand": "✎ "}


@dataclass(frozen=True, slots=True)
class Drawn:
    """The parts of a chart from left to right, as SVG; ``summary`` says in a sentence what they
    show."""

    scale: str
    plot: str
    names: str
    summary: str


@dataclass(frozen=True, slots=True)
class _Line:
    """``places`` has the place of each value; None is a gap. ``last`` is the last value, if it is a
    present one."""

    name: str
    style: int
    places: Sequence[Place | None]
    last: float | None

    @property
    def known(self) -> list[Place]:
        return [place for place in self.places if place is not None]


def draw_time_chart(
    chart: TimeChart, moves: Sequence[AliasMove], styles: Mapping[str | None, int]
) -> Drawn:
    """``styles``: the number of each collection's line, the same in all charts of a page."""
    begun = datetime.fromisoformat(chart["times"][0])
    ended = datetime.fromisoformat(chart["until"])
    levels = choose_levels(
        value for one in chart["series"] for value in one["values"] if value is not None
    )
    height = Scale(levels[0], levels[-1], plot.BOTTOM, plot.TOP)
    lines = [
        line
        for one in chart["series"]
        if (line := _place_line(chart, one, height, styles[one["collection"]])) is not None
    ]
    unit = find_short_unit(chart["unit"])
    shown = [one for one in moves if begun <= datetime.fromisoformat(one["at"]) < ended]
    summary = describe_time_chart(chart)
    root = plot.open_plot(chart["title"], summary, describe_moves(shown))
    for level in levels:
        plot.draw_level(root, height(level), "level" if level else "base")
    _draw_times(root, begun, ended)
    _draw_moves(root, shown, begun, ended)
    for line in reversed(lines):
        _draw_line(root, line)
    return Drawn(draw_scale(levels, height, unit), svg_text(root), _draw_names(lines), summary)


def draw_scale(levels: Sequence[float], height: Scale, unit: str) -> str:
    root = plot.open_margin("scale", SCALE)
    for level in levels:
        draw_text(root, SCALE - 8, height(level) + 4, format_amount(level, unit), "s11 end")
    return svg_text(root)


def name_series(series: Series) -> str:
    if series["version"] is not None:
        return f"v{series['version']}"
    return series["collection"] or "earlier"


def name_move(move: AliasMove) -> str:
    number = move["version"]
    return f"v{number}" if number is not None else move["collection"]


def find_short_unit(unit: str) -> str:
    """Returns a unit that stands behind every number; empty for one that the title says."""
    return unit if unit in ("ms", "s", "min", "h") else ""


def describe_time_chart(chart: TimeChart) -> str:
    """Returns what the lines show, in a sentence."""
    unit = find_short_unit(chart["unit"])
    told = []
    for one in chart["series"]:
        known = [value for value in one["values"] if value is not None]
        if known:
            ends = f"{format_amount(min(known), unit)} to {format_amount(max(known), unit)}"
            told.append(f"{name_series(one)} last {format_amount(known[-1], unit)}, {ends}")
    over = "" if unit else f" {chart['unit']}"
    return f"{chart['title']}{over}: {'; '.join(told) or 'nothing known'}."


def describe_moves(moves: Sequence[AliasMove]) -> str:
    told = [
        f"{name_move(one)} {MOVE_WORDS[one['kind']]} {one['at'][:16].replace('T', ' ')} UTC"
        for one in moves
    ]
    return "; ".join(told) or "The alias did not move in this time."


def _place_line(chart: TimeChart, series: Series, height: Scale, style: int) -> _Line | None:
    """A value stands in the middle of its interval. Returns None if nothing is known."""
    count = len(chart["times"])
    places = [
        None if value is None else ((number + 0.5) / count, height(value))
        for number, value in enumerate(series["values"])
    ]
    if not any(places):
        return None
    present = [value for value in series["values"][-_PRESENT:] if value is not None]
    last = next(reversed(present), None)
    return _Line(name_series(series), style, places, last)


def _draw_line(root: Element, line: _Line) -> None:
    parts = split_at_gaps(line.places)
    hue = f"h{line.style % _HUES}"
    plot.draw_lines(root, parts, f"course {hue}")
    every = max(1, len(line.places) * _MARK_EVERY // 100)
    for part in parts:
        for number, place in enumerate(part):
            if number in (0, len(part) - 1) or number % every == 0:
                plot.draw_mark(root, place, find_shape(line.style), f"mark {hue}")


def split_at_gaps(places: Sequence[Place | None]) -> list[list[Place]]:
    parts: list[list[Place]] = [[]]
    for place in places:
        if place is not None:
            parts[-1].append(place)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def find_shape(style: int) -> str:
    return plot.SHAPES[style % len(plot.SHAPES)]


def _draw_times(root: Element, begun: datetime, ended: datetime) -> None:
    times = choose_times(begun, ended)
    shares = [(time - begun) / (ended - begun) for time, _ in times]
    texts = [text for _, text in times]
    for number in sorted(choose_apart(shares, texts, plot.NARROWEST)):
        share = shares[number]
        plot.draw_upright(root, share, (plot.BOTTOM, plot.BOTTOM + 4), "base")
        plot.draw_words(root, (share, plot.BELOW), texts[number], "s11 middle")


def _draw_moves(
    root: Element, moves: Sequence[AliasMove], begun: datetime, ended: datetime
) -> None:
    shares = [(datetime.fromisoformat(one["at"]) - begun) / (ended - begun) for one in moves]
    texts = [_SIGNS[one["kind"]] + fit_text(name_move(one), 70, plot.TEXT_SIZE) for one in moves]
    named = choose_apart(shares, texts, plot.NARROWEST)
    for number, move in enumerate(moves):
        title = describe_moves([move])
        plot.draw_upright(root, shares[number], (plot.TOP - 4, plot.BOTTOM), "move", title)
        if number in named:
            plot.draw_words(root, (shares[number], plot.ABOVE), texts[number], "s11 middle moved")


def _draw_names(lines: Sequence[_Line]) -> str:
    """Draws a piece of each line, with its mark and its name, and a present value, near the height
    at which it ends."""
    root = plot.open_margin("names", NAMES)
    wanted = [line.known[-1][1] for line in lines]
    heights = spread_out(wanted, _LINE_HEIGHT, plot.TOP, plot.BOTTOM)
    left = 6 + _SAMPLE + 5
    for line, y in zip(lines, heights, strict=True):
        hue = f"h{line.style % _HUES}"
        draw_path(root, [(6, y), (6 + _SAMPLE, y)], f"course {hue}")
        plot.draw_mark(root, ((6 + _SAMPLE / 2) / NAMES, y), find_shape(line.style), f"mark {hue}")
        words = draw_text(root, left, y + 4, line.name, "s11 strong", NAMES - left)
        value = "" if line.last is None else format_amount(line.last)
        if text_width(line.name + value, plot.TEXT_SIZE) + _VALUE_GAP < NAMES - left:
            append_text(words, value, "soft")
    return svg_text(root)
