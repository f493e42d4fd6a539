"""A chart over versions: one mark for each, filled if the version has been live."""

from collections.abc import Sequence

from qdrant_rollouts.core.answers.charts import VersionChart, VersionPoint
from qdrant_rollouts.interfaces.pictures.canvas import Element, svg_text
from qdrant_rollouts.interfaces.pictures.charts import plot
from qdrant_rollouts.interfaces.pictures.charts.ticks import (
    choose_apart,
    choose_close_levels,
    choose_levels,
    choose_time_unit,
    format_amount,
)
from qdrant_rollouts.interfaces.pictures.charts.time_chart import (
    Drawn,
    draw_scale,
    find_short_unit,
    split_at_gaps,
)
from qdrant_rollouts.interfaces.pictures.scales import Scale

#: There are no names beside the plot, so it is wider.
_NARROWEST = plot.NARROWEST + 80


def draw_version_chart(chart: VersionChart) -> Drawn:
    factor, unit = choose_unit(chart)
    values = [None if one["value"] is None else one["value"] / factor for one in chart["points"]]
    known = [value for value in values if value is not None]
    levels = choose_levels(known) if chart["unit"] else choose_close_levels(known)
    height = Scale(levels[0], levels[-1], plot.BOTTOM, plot.TOP)
    summary = describe_version_chart(chart)
    root = plot.open_plot(chart["title"], summary, "A hollow mark: the version was never live.")
    for level in levels:
        plot.draw_level(root, height(level), "base" if level == levels[0] else "level")
    places = [
        None if value is None else ((number + 0.5) / len(values), height(value))
        for number, value in enumerate(values)
    ]
    if chart["unit"]:
        for part in split_at_gaps(places):
            for x, y in part:
                plot.draw_upright(root, x, (y, plot.BOTTOM), "stem")
    else:
        plot.draw_lines(root, split_at_gaps(places), "course thin h0")
    for one, place in zip(chart["points"], places, strict=True):
        if place is not None:
            _draw_point(root, one, place, f"v{one['version']}: {format_value(chart, one)}")
    _draw_numbers(root, chart["points"])
    return Drawn(draw_scale(levels, height, unit), svg_text(root), "", summary)


def choose_unit(chart: VersionChart) -> tuple[float, str]:
    """Returns how much of the chart's own unit the shown one is, and its name."""
    if chart["unit"] != "s":
        return 1.0, find_short_unit(chart["unit"])
    return choose_time_unit(max(one["value"] or 0.0 for one in chart["points"]))


def format_value(chart: VersionChart, point: VersionPoint) -> str:
    """Returns the value for people; empty if it is not known."""
    if point["value"] is None:
        return ""
    factor, unit = choose_unit(chart)
    return format_amount(point["value"] / factor, unit)


def describe_version_chart(chart: VersionChart) -> str:
    known = [one for one in chart["points"] if one["value"] is not None]
    told = [f"v{one['version']} {format_value(chart, one)}" for one in known[-3:]]
    return f"{chart['title']} of {len(known)} versions; the last: {', '.join(told)}."


def _draw_point(root: Element, point: VersionPoint, place: plot.Place, title: str) -> None:
    kind = "mark h0" if point["served"] else "mark hollow"
    plot.draw_mark(root, place, plot.SHAPES[0], kind, title)


def _draw_numbers(root: Element, points: Sequence[VersionPoint]) -> None:
    shares = [(number + 0.5) / len(points) for number in range(len(points))]
    texts = [f"v{one['version']}" for one in points]
    for number in sorted(choose_apart(shares, texts, _NARROWEST)):
        plot.draw_words(root, (shares[number], plot.BELOW), texts[number], "s11 middle")
