"""The report of an experiment as a picture: per metric and treatment the difference and its
interval over the looks.

On the left are the current results, in words and numbers; on the right their course; a line at 0,
and a dashed one at the limit of tolerated harm.
"""

from datetime import UTC, datetime

from qdrant_rollouts.interfaces.pictures import canvas
from qdrant_rollouts.interfaces.pictures.canvas import Element
from qdrant_rollouts.interfaces.pictures.panel import (
    BOTTOM,
    LEFT,
    PANEL,
    RIGHT,
    describe_panel,
    draw_panel,
    draw_time_axis,
)
from qdrant_rollouts.interfaces.pictures.reading import Group, Report, group_by_metric
from qdrant_rollouts.interfaces.pictures.scales import Scale, value_range
from qdrant_rollouts.interfaces.pictures.style import STYLE

_WIDTH = 900
_EDGE = 24
_TEXT = _WIDTH - 2 * _EDGE
_SENTENCES = 5

#: Decision -> its word, and the colour of its verdict.
_ACTIONS = {
    "ship": ("Ship", "better"),
    "rollback": ("Roll back", "worse"),
    "invalid": ("Invalid", "worse"),
    "keep_running": ("Keep running", "unclear"),
    "stop_inconclusive": ("Stop, inconclusive", "unclear"),
}
_DIRECTIONS = {1: "higher is better", -1: "lower is better", 0: ""}


def experiment_svg(report: Report) -> str:
    """A standalone SVG, 900 pixels wide, to be written as UTF-8.

    ``report``: ``name, id, alias, status, decision {action, reason}, looks [{at, days, comparisons
    [{metric, variant, role, direction, relative, margin, control, treatment, difference, low, high,
    verdict, reason, units}]}]``, looks oldest first. ``difference``, ``low`` and ``high`` are
    treatment minus control, as shares of control if ``relative``; ``bound_low`` and ``bound_high``
    replace the latter two if they are given. ``direction`` is 1 or ``up`` if more is better, -1 or
    ``down`` if less is; ``margin`` is above 0; ``days`` count from the start. A missing number is
    None.
    """
    found = group_by_metric(report)
    body = canvas.Element("g")
    height = _draw_head(body, report)
    span = max((point.days for group in found for point in group.points), default=0.0)
    for group in found:
        height = _draw_group(body, group, span, height)
    height = _draw_legend(body, height) if found else _draw_nothing(body, report, height)
    root = canvas.start_picture(
        _WIDTH, height, _report_name(report), _describe_report(report, found), STYLE
    )
    canvas.draw_rectangle(root, 0, 0, _WIDTH, height, "page")
    root.append(body)
    return canvas.svg_text(root)


def _draw_head(body: Element, report: Report) -> float:
    """Draws title and decision; returns the height at which they end, like all functions that draw
    from top to bottom."""
    y = 20.0
    for words in canvas.wrap_text(_report_name(report), _TEXT, canvas.font_size("s22 bold"), 2):
        y += 26
        canvas.draw_text(body, _EDGE, y, words, "s22 bold ink")
    canvas.draw_text(
        body, _EDGE, y + 23, " · ".join(filter(None, _report_facts(report))), "s13 soft", _TEXT
    )
    return _draw_decision(body, report, y + 40)


def _report_name(report: Report) -> str:
    return str(report.get("name") or "An experiment without a name")


def _report_facts(report: Report) -> list[str]:
    looks = report.get("looks") or []
    count = f"{len(looks)} look{'' if len(looks) == 1 else 's'}"
    latest = ""
    if looks and looks[-1].get("at"):
        latest = f", the last {_format_minute(looks[-1].get('at'))}"
    alias, identity = (f"{key} {report[key]}" if report.get(key) else "" for key in ("alias", "id"))
    return [str(report.get("status") or ""), alias, count + latest, identity]


def _format_minute(at: object) -> str:
    """An ISO time to the minute, in UTC if it has a zone; another text is shown unchanged."""
    try:
        time = datetime.fromisoformat(str(at))
    except ValueError:
        return str(at)
    if time.tzinfo is None:
        return f"{time:%Y-%m-%d %H:%M}"
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _draw_decision(body: Element, report: Report, top: float) -> float:
    word, colour, reason = _decision_words(report)
    lines = canvas.wrap_text(reason, _TEXT - 36, 13, _SENTENCES) if reason else []
    height = 40 + 19 * len(lines) if lines else 42
    canvas.draw_rectangle(body, _EDGE, top, _TEXT, height, "card")
    canvas.draw_rectangle(body, _EDGE, top, 4, height, colour)
    canvas.draw_text(body, _EDGE + 20, top + 27, word, "s17 bold ink", _TEXT - 36)
    for count, words in enumerate(lines, 1):
        canvas.draw_text(body, _EDGE + 20, top + 29 + 19 * count, words, "s13 ink")
    return top + height + 14


def _decision_words(report: Report) -> tuple[str, str, str]:
    decision = report.get("decision") or {}
    action = str(decision.get("action") or "")
    if not action:
        return "No decision yet", "unclear", str(decision.get("reason") or "")
    word, colour = _ACTIONS.get(action.lower(), (action.replace("_", " "), "unclear"))
    if decision.get("variant"):
        word += f": {decision['variant']}"
    return word, colour, str(decision.get("reason") or "")


def _draw_group(body: Element, group: Group, span: float, top: float) -> float:
    canvas.draw_line(body, (_EDGE, top + 10), (_WIDTH - _EDGE, top + 10), "rule")
    canvas.draw_text(body, _EDGE, top + 36, group.metric, "s15 bold ink", 440)
    canvas.draw_text(
        body,
        _WIDTH - _EDGE,
        top + 36,
        " · ".join(filter(None, _group_facts(group))),
        "s12 soft end",
        400,
    )
    y, low, high = top + 50, *value_range(group)
    time = Scale(0.0, span or 1 / 24, LEFT, RIGHT)
    for shown in group.panels:
        draw_panel(body, group, shown, time, Scale(low, high, y + PANEL - BOTTOM, y))
        y += PANEL
    return draw_time_axis(body, time, y)


def _group_facts(group: Group) -> list[str]:
    return [str(group.last.get("role") or ""), _DIRECTIONS[group.direction], group.nature]


def _draw_legend(body: Element, top: float) -> float:
    words = (
        "Line: treatment less control. Band: the bounds its verdict is read from, cut off where "
        "they leave the panel. "
        "Dashed: the margin."
    )
    canvas.draw_text(body, _EDGE, top + 22, words, "s12 soft", _TEXT)
    return top + 42


def _draw_nothing(body: Element, report: Report, top: float) -> float:
    words = "No look has been taken yet."
    if report.get("looks"):
        words = "No look compared anything."
    canvas.draw_text(body, _EDGE, top + 24, words, "s13 ink")
    return top + 48


def _describe_report(report: Report, found: list[Group]) -> str:
    """All of it in words, for people who cannot see it."""
    word, _, reason = _decision_words(report)
    told = [
        f"{group.metric}, {shown.variant}: {describe_panel(group, shown)}."
        for group in found
        for shown in group.panels
    ]
    return " ".join([f"{word}: {reason}" if reason else f"{word}.", *told])
