"""One treatment in one metric: the current result, and its course."""

from itertools import groupby

from qdrant_rollouts.core.statistics.reasons import explain_reason
from qdrant_rollouts.interfaces import figures
from qdrant_rollouts.interfaces.pictures import canvas
from qdrant_rollouts.interfaces.pictures.canvas import Element
from qdrant_rollouts.interfaces.pictures.reading import Group, Panel, Point, drawable_number
from qdrant_rollouts.interfaces.pictures.scales import (
    Scale,
    format_difference,
    format_margin,
    format_value,
    interval_step,
    round_ticks,
    time_unit,
)

#: Left and right of the plot; the height of a panel, and the free space below the plot.
LEFT = 328.0
RIGHT = 804.0
PANEL = 124.0
BOTTOM = 14.0
_EDGE = 24.0
_COLUMN = 236.0
_GUTTER = RIGHT + 12
_TICK_ROOM = 22.0

#: Verdict -> the sign in its badge, and its word.
_VERDICTS = {
    "better": ("+", "better"),
    "worse": ("\N{MINUS SIGN}", "worse"),
    "not_worse": ("≥", "not worse"),
}


def draw_panel(body: Element, group: Group, shown: Panel, time: Scale, value: Scale) -> None:
    _draw_numbers(body, group, shown, value.end)
    _draw_frame(body, group, time, value)
    inside = canvas.open_window(
        body, LEFT - 8, value.end, RIGHT - LEFT + 16, value.start - value.end
    )
    for known, points in groupby(shown.points, key=lambda point: len(point.known)):
        if known:
            _draw_course(inside, list(points), time, value)
    _draw_latest(inside, shown, time, value)
    if not any(point.known for point in shown.points):
        _draw_no_number(body, shown, value)


def draw_time_axis(body: Element, time: Scale, top: float) -> float:
    """Draws the time below a metric's panels; returns the height at which it ends."""
    factor, unit = time_unit(time.high)
    for tick in round_ticks(0.0, time.high * factor, 8):
        canvas.draw_text(body, time(tick / factor), top + 2, f"{tick:g}", "s11 soft middle")
    canvas.draw_text(body, _GUTTER, top + 2, unit, "s11 soft")
    return top + 8


def describe_panel(group: Group, shown: Panel) -> str:
    """The verdict and its numbers in a sentence."""
    _, word = _verdict_words(shown)
    step = _step_of_interval(shown)
    latest = shown.points[-1]
    if latest.difference is None:
        return f"{word}, no number: {_reason_words(shown)}"
    told = (
        f"{word}, {format_difference(latest.difference, step, group.relative)}, "
        f"{_interval_words(group, latest, step)}"
    )
    if latest.low is None:
        return f"{told}: {_reason_words(shown)}"
    return told


def _draw_numbers(body: Element, group: Group, shown: Panel, top: float) -> None:
    _, word = _verdict_words(shown)
    latest = shown.points[-1]
    canvas.draw_text(body, _EDGE, top + 12, shown.variant, "s13 bold ink", _COLUMN)
    _draw_badge(body, shown, top + 30)
    canvas.draw_text(
        body, _EDGE + 20, top + 34.5, word, f"s13 bold {_verdict_class(shown)}", _COLUMN - 20
    )
    if latest.difference is None:
        for count, words in enumerate(canvas.wrap_text(_reason_words(shown), _COLUMN, 12, 2)):
            canvas.draw_text(body, _EDGE, top + 54 + 14 * count, words, "s12 soft")
    else:
        step = _step_of_interval(shown)
        line = canvas.draw_text(
            body,
            _EDGE,
            top + 56,
            format_difference(latest.difference, step, group.relative),
            "s15 bold ink",
        )
        canvas.append_text(line, _interval_words(group, latest, step), "s12 thin soft")
        if latest.low is None:
            canvas.draw_text(body, _EDGE, top + 70, _reason_words(shown), "s11 soft", _COLUMN)
    _draw_arms(body, group, shown, top + 86)


def _draw_badge(body: Element, shown: Panel, y: float) -> None:
    sign, _ = _verdict_words(shown)
    canvas.draw_circle(body, _EDGE + 7, y, 7, _verdict_class(shown))
    canvas.draw_text(body, _EDGE + 7, y + 4, sign, "s12 bold sign middle")


def _draw_arms(body: Element, group: Group, shown: Panel, y: float) -> None:
    """Draws each arm's value, and its number of users."""
    units = shown.last.get("units") or (None, None)
    for arm, count in zip(("control", "treatment"), units, strict=False):
        value = drawable_number(shown.last.get(arm))
        n = drawable_number(count)
        canvas.draw_text(body, _EDGE, y, arm, "s12 soft")
        if value is not None:
            canvas.draw_text(body, _EDGE + 142, y, _format_value(group, value), "s12 ink end")
        canvas.draw_text(
            body, _EDGE + _COLUMN, y, "n unknown" if n is None else f"n {n:,.0f}", "s12 soft end"
        )
        y += 16


def _format_value(group: Group, value: float) -> str:
    if group.unit == "plain":
        return format_value(value)
    return figures.unit_by_name(group.unit).value(value)


def _draw_frame(body: Element, group: Group, time: Scale, value: Scale) -> None:
    """Draws lines at round values and times, at 0 and at the margin, with their names."""
    factor, _ = time_unit(time.high)
    for tick in round_ticks(0.0, time.high * factor, 8):
        x = time(tick / factor)
        canvas.draw_line(body, (x, value.end), (x, value.start), "grid")
    levels = round_ticks(value.low, value.high, int((value.start - value.end) // _TICK_ROOM))
    for level in levels:
        y = value(level)
        zero = level == 0
        canvas.draw_line(body, (LEFT, y), (RIGHT, y), "zero" if zero else "grid")
        name = "0"
        if not zero:
            name = format_difference(level, levels[1] - levels[0], group.relative)
        canvas.draw_text(body, LEFT - 8, y + 4, name, f"s11 end {'ink bold' if zero else 'soft'}")
    _draw_margin(body, group, value)
    if group.direction:
        up = group.direction > 0
        y = value.end + 10 if up else value.start - 3
        canvas.draw_text(body, _GUTTER, y, f"better {'↑' if up else '↓'}", "s11 soft")


def _draw_margin(body: Element, group: Group, value: Scale) -> None:
    if group.margin is None:
        return
    y = value(group.margin)
    canvas.draw_line(body, (LEFT, y), (RIGHT, y), "margin")
    inside = min(max(y, value.end + 9), value.start - 12)
    canvas.draw_text(body, _GUTTER, inside - 1, "margin", "s11 marginal")
    canvas.draw_text(
        body, _GUTTER, inside + 11, format_margin(group.margin, group.relative), "s11 marginal"
    )


def _draw_course(inside: Element, points: list[Point], time: Scale, value: Scale) -> None:
    """Draws the difference over looks that all have a number, with its interval if they have
    one."""
    seen = [
        (time(point.days), value(point.difference))
        for point in points
        if point.difference is not None
    ]
    low = [(time(point.days), value(point.low)) for point in points if point.low is not None]
    high = [(time(point.days), value(point.high)) for point in points if point.high is not None]
    if len(points) == 1:
        canvas.draw_path(inside, [*low, *high], "edge")
        canvas.draw_circle(inside, *seen[0], 2.5, "spot")
        return
    canvas.draw_path(inside, seen, "course")
    if low:
        canvas.draw_path(inside, [*low, *reversed(high)], "band", closed=True)
    for edge in (low, high):
        canvas.draw_path(inside, edge, "edge")


def _draw_latest(inside: Element, shown: Panel, time: Scale, value: Scale) -> None:
    """Draws the latest look that has a number, in the colour of its verdict."""
    latest = next((point for point in reversed(shown.points) if point.known), None)
    if latest is None or latest.difference is None:
        return
    x = time(latest.days)
    kind = _verdict_class(shown)
    if latest.low is not None and latest.high is not None:
        low = value(latest.low)
        high = value(latest.high)
        canvas.draw_line(inside, (x, low), (x, high), f"whisker {kind}")
        for y in (low, high):
            canvas.draw_line(inside, (x - 5, y), (x + 5, y), f"whisker {kind}")
    canvas.draw_circle(inside, x, value(latest.difference), 4.5, kind)


def _draw_no_number(body: Element, shown: Panel, value: Scale) -> None:
    middle = (value.start + value.end) / 2 - 10
    canvas.draw_text(
        body,
        (LEFT + RIGHT) / 2,
        middle,
        f"no number: {_reason_words(shown)}",
        "s13 soft halo middle",
        RIGHT - LEFT - 40,
    )


def _verdict_words(shown: Panel) -> tuple[str, str]:
    verdict = str(shown.last.get("verdict") or "no verdict")
    return _VERDICTS.get(verdict, ("?", verdict.replace("_", " ")))


def _verdict_class(shown: Panel) -> str:
    verdict = str(shown.last.get("verdict"))
    if verdict not in _VERDICTS:
        return "unclear"
    return verdict


def _reason_words(shown: Panel) -> str:
    code = str(shown.last.get("reason") or "")
    return explain_reason(code) or "no reason was given"


def _step_of_interval(shown: Panel) -> float:
    latest = shown.points[-1]
    if latest.low is not None and latest.high is not None:
        return interval_step(latest.low, latest.high)
    return abs(latest.difference or 1.0) / 100


def _interval_words(group: Group, point: Point, step: float) -> str:
    if point.low is None or point.high is None:
        return "no interval"
    return (
        f"{format_difference(point.low, step, group.relative)} to "
        f"{format_difference(point.high, step, group.relative)}"
    )
