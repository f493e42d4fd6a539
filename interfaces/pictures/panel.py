"""One treatment in one metric: what is known now, and how it came to be known."""

from itertools import groupby

from qdrant_rollouts.interfaces import figures
from qdrant_rollouts.interfaces.pictures import canvas
from qdrant_rollouts.interfaces.pictures.canvas import Element
from qdrant_rollouts.interfaces.pictures.reading import Group, Panel, Point, number
from qdrant_rollouts.interfaces.pictures.scales import Scale, brief, fine, plain, signed, ticks, time_unit

#: The plot, left and right; the height of a panel, and what of it stays free below the plot.
LEFT, RIGHT, PANEL, BOTTOM = 328.0, 804.0, 124.0, 14.0
_EDGE, _COLUMN = 24.0, 236.0
_GUTTER = RIGHT + 12
_TICK_ROOM = 22.0

#: Verdict -> the sign in its badge, and its word.
_VERDICTS = {"better": ("+", "better"), "worse": ("\N{MINUS SIGN}", "worse"), "not_worse": ("≥", "not worse")}

_REASONS = {
    "no_data": "no data yet",
    "too_few_units": "too few users in one of the arms",
    "variance_not_positive": "the values do not vary",
    "control_not_positive": "control is not above 0: no share of it",
    "control_too_noisy": "control is too noisy to be a measure",
    "quantile_unresolved": "too few events to tell this quantile",
}


def panel(body: Element, group: Group, shown: Panel, time: Scale, value: Scale) -> None:
    _numbers(body, group, shown, value.end)
    _frame(body, group, time, value)
    inside = canvas.window(body, LEFT - 8, value.end, RIGHT - LEFT + 16, value.start - value.end)
    for known, points in groupby(shown.points, key=lambda point: len(point.known)):
        if known:
            _course(inside, list(points), time, value)
    _now(inside, shown, time, value)
    if not any(point.known for point in shown.points):
        _nothing(body, shown, value)


def axis(body: Element, time: Scale, top: float) -> float:
    """The time below a metric's panels; gives the height it ends at."""
    factor, unit = time_unit(time.high)
    for tick in ticks(0.0, time.high * factor, 8):
        canvas.text(body, time(tick / factor), top + 2, f"{tick:g}", "s11 soft middle")
    canvas.text(body, _GUTTER, top + 2, unit, "s11 soft")
    return top + 8


def said(group: Group, shown: Panel) -> str:
    """The verdict and its numbers in a sentence."""
    _, word = _verdict(shown)
    step, latest = _step(shown), shown.points[-1]
    if latest.difference is None:
        return f"{word}, no number: {_reason(shown)}"
    told = f"{word}, {signed(latest.difference, step, group.relative)}, {_interval(group, latest, step)}"
    return f"{told}: {_reason(shown)}" if latest.low is None else told


def _numbers(body: Element, group: Group, shown: Panel, top: float) -> None:
    _, word = _verdict(shown)
    latest = shown.points[-1]
    canvas.text(body, _EDGE, top + 12, shown.variant, "s13 bold ink", _COLUMN)
    _badge(body, shown, top + 30)
    canvas.text(body, _EDGE + 20, top + 34.5, word, f"s13 bold {_kind(shown)}", _COLUMN - 20)
    if latest.difference is None:
        for count, words in enumerate(canvas.wrapped(_reason(shown), _COLUMN, 12, 2)):
            canvas.text(body, _EDGE, top + 54 + 14 * count, words, "s12 soft")
    else:
        step = _step(shown)
        line = canvas.text(body, _EDGE, top + 56, signed(latest.difference, step, group.relative), "s15 bold ink")
        canvas.after(line, _interval(group, latest, step), "s12 thin soft")
        if latest.low is None:
            canvas.text(body, _EDGE, top + 70, _reason(shown), "s11 soft", _COLUMN)
    _arms(body, group, shown, top + 86)


def _badge(body: Element, shown: Panel, y: float) -> None:
    sign, _ = _verdict(shown)
    canvas.circle(body, _EDGE + 7, y, 7, _kind(shown))
    canvas.text(body, _EDGE + 7, y + 4, sign, "s12 bold sign middle")


def _arms(body: Element, group: Group, shown: Panel, y: float) -> None:
    """What each arm shows, and from how many users."""
    units = shown.last.get("units") or (None, None)
    for arm, count in zip(("control", "treatment"), units, strict=False):
        value, n = number(shown.last.get(arm)), number(count)
        canvas.text(body, _EDGE, y, arm, "s12 soft")
        if value is not None:
            canvas.text(body, _EDGE + 142, y, _value(group, value), "s12 ink end")
        canvas.text(body, _EDGE + _COLUMN, y, "n unknown" if n is None else f"n {n:,.0f}", "s12 soft end")
        y += 16


def _value(group: Group, value: float) -> str:
    return plain(value) if group.unit == "plain" else figures.of_unit(group.unit).value(value)


def _frame(body: Element, group: Group, time: Scale, value: Scale) -> None:
    """Lines at round values and times, at 0 and at the margin, with their names."""
    factor, _ = time_unit(time.high)
    for tick in ticks(0.0, time.high * factor, 8):
        x = time(tick / factor)
        canvas.line(body, (x, value.end), (x, value.start), "grid")
    levels = ticks(value.low, value.high, int((value.start - value.end) // _TICK_ROOM))
    for level in levels:
        y, zero = value(level), level == 0
        canvas.line(body, (LEFT, y), (RIGHT, y), "zero" if zero else "grid")
        name = "0" if zero else signed(level, levels[1] - levels[0], group.relative)
        canvas.text(body, LEFT - 8, y + 4, name, f"s11 end {'ink bold' if zero else 'soft'}")
    _margin(body, group, value)
    if group.direction:
        up = group.direction > 0
        y = value.end + 10 if up else value.start - 3
        canvas.text(body, _GUTTER, y, f"better {'↑' if up else '↓'}", "s11 soft")


def _margin(body: Element, group: Group, value: Scale) -> None:
    if group.margin is None:
        return
    y = value(group.margin)
    canvas.line(body, (LEFT, y), (RIGHT, y), "margin")
    inside = min(max(y, value.end + 9), value.start - 12)
    canvas.text(body, _GUTTER, inside - 1, "margin", "s11 marginal")
    canvas.text(body, _GUTTER, inside + 11, brief(group.margin, group.relative), "s11 marginal")


def _course(inside: Element, points: list[Point], time: Scale, value: Scale) -> None:
    """The difference over looks that all have a number, with its interval if they have one."""
    seen = [(time(point.days), value(point.difference)) for point in points if point.difference is not None]
    low = [(time(point.days), value(point.low)) for point in points if point.low is not None]
    high = [(time(point.days), value(point.high)) for point in points if point.high is not None]
    if len(points) == 1:
        canvas.path(inside, [*low, *high], "edge")
        canvas.circle(inside, *seen[0], 2.5, "spot")
        return
    canvas.path(inside, seen, "course")
    if low:
        canvas.path(inside, [*low, *reversed(high)], "band", closed=True)
    for edge in (low, high):
        canvas.path(inside, edge, "edge")


def _now(inside: Element, shown: Panel, time: Scale, value: Scale) -> None:
    """The latest look that has a number, in the colour of its verdict."""
    latest = next((point for point in reversed(shown.points) if point.known), None)
    if latest is None or latest.difference is None:
        return
    x, kind = time(latest.days), _kind(shown)
    if latest.low is not None and latest.high is not None:
        low, high = value(latest.low), value(latest.high)
        canvas.line(inside, (x, low), (x, high), f"whisker {kind}")
        for y in (low, high):
            canvas.line(inside, (x - 5, y), (x + 5, y), f"whisker {kind}")
    canvas.circle(inside, x, value(latest.difference), 4.5, kind)


def _nothing(body: Element, shown: Panel, value: Scale) -> None:
    middle = (value.start + value.end) / 2 - 10
    canvas.text(
        body, (LEFT + RIGHT) / 2, middle, f"no number: {_reason(shown)}", "s13 soft halo middle", RIGHT - LEFT - 40
    )


def _verdict(shown: Panel) -> tuple[str, str]:
    verdict = str(shown.last.get("verdict") or "no verdict")
    return _VERDICTS.get(verdict, ("?", verdict.replace("_", " ")))


def _kind(shown: Panel) -> str:
    verdict = str(shown.last.get("verdict"))
    return verdict if verdict in _VERDICTS else "unclear"


def _reason(shown: Panel) -> str:
    code = str(shown.last.get("reason") or "")
    return _REASONS.get(code, code.replace("_", " ") or "no reason was given")


def _step(shown: Panel) -> float:
    latest = shown.points[-1]
    if latest.low is not None and latest.high is not None:
        return fine(latest.low, latest.high)
    return abs(latest.difference or 1.0) / 100


def _interval(group: Group, point: Point, step: float) -> str:
    if point.low is None or point.high is None:
        return "no interval"
    return f"{signed(point.low, step, group.relative)} to {signed(point.high, step, group.relative)}"
