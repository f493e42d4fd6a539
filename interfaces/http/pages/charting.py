"""The charts of a page: each as a picture, and the same data as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from qdrant_rollouts.core.answers.charts import AliasMove, Charts, TimeChart, VersionChart
from qdrant_rollouts.core.operations.views.charts.queries import chart_deployment, chart_index
from qdrant_rollouts.interfaces.http.pages.visits import Visit
from qdrant_rollouts.interfaces.pictures.charts.time_chart import (
    MOVE_WORDS,
    Drawn,
    draw_time_chart,
    name_move,
    name_series,
)
from qdrant_rollouts.interfaces.pictures.charts.version_chart import (
    draw_version_chart,
    format_value,
)

#: A table has at most so many rows: the last ones.
MOST_ROWS = 60
_MOST_MOVES = 5
#: The periods that a page offers, in words.
_OFFERED = {"1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d", "30d": "30 d", "90d": "90 d"}


@dataclass(frozen=True, slots=True)
class Table:
    """``head`` are the columns after the first one. A row has a time, or a version's name, and a
    value for each column. ``form`` is that of the times; empty for names. ``left_out``: how many
    earlier rows there are."""

    first: str
    form: str
    head: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float | str | None]]]
    left_out: int


@dataclass(frozen=True, slots=True)
class ShownChart:
    """``scale``, ``plot`` and ``names`` stand beside each other. ``last`` is the value of the last
    version, if the chart has one value of each. ``note`` says how it is counted."""

    name: str
    title: str
    unit: str
    note: str
    scale: Markup
    plot: Markup
    names: Markup
    last: str
    table: Table


@dataclass(frozen=True, slots=True)
class ShownMove:
    """``name`` is that of the version to which the alias moved; ``words`` say how."""

    name: str
    words: str
    at: str


@dataclass(frozen=True, slots=True)
class ShownCharts:
    """``periods`` are those that can be chosen, with their words; none for a deployment. ``moves``:
    the last moves of the alias, the latest first. ``nothing`` says why no search is shown."""

    alias: str
    period: str | None
    periods: Sequence[tuple[str, str]]
    over_time: Sequence[ShownChart]
    by_version: Sequence[ShownChart]
    moves: Sequence[ShownMove]
    nothing: str


def show_index_charts(visit: Visit, alias: str) -> ShownCharts:
    """Raises Malformed for a period in the address that is not known."""
    period = visit.query_value("period")
    found = chart_index(visit.services, alias, *([period] if period else []))
    return show_charts(found)


def show_deployment_charts(visit: Visit, deployment_id: str) -> ShownCharts | None:
    """Returns None for a run that has no charts, or of which nothing was observed."""
    found = chart_deployment(visit.services, deployment_id)
    if found is None or not found["charts"]:
        return None
    return show_charts(found)


def show_charts(found: Charts) -> ShownCharts:
    styles = _number_lines(found["charts"])
    moves = [_show_move(one) for one in reversed(found["switches"])]
    return ShownCharts(
        alias=found["alias"],
        period=found["period"],
        periods=list(_OFFERED.items()) if found["period"] else [],
        over_time=[
            _show(one, draw_time_chart(one, found["switches"], styles), _tabulate_times(one))
            for one in found["charts"]
        ],
        by_version=[
            _show(
                one, draw_version_chart(one), _tabulate_versions(one), _find_last(one), one["note"]
            )
            for one in found["versions"]
        ],
        moves=moves[:_MOST_MOVES],
        nothing="" if found["searched"] else _explain_nothing(found),
    )


def _show_move(move: AliasMove) -> ShownMove:
    return ShownMove(name_move(move), MOVE_WORDS[move["kind"]], move["at"])


def _explain_nothing(found: Charts) -> str:
    time = "since it began"
    if found["period"] is not None:
        time = f"in the last {_OFFERED[found['period']]}"
    return (
        f"No search was observed {time}. Only searches that go through the router are seen; those "
        "that an application sends to Qdrant itself are not. The current minute appears when it "
        "is over."
    )


def _number_lines(charts: Sequence[TimeChart]) -> dict[str | None, int]:
    """Gives each collection a line of its own, the newest version the first one."""
    found = {one["collection"]: one["version"] or 0 for chart in charts for one in chart["series"]}
    ordered = sorted(found, key=lambda name: (name is None, -found[name], name or ""))
    return {name: number for number, name in enumerate(ordered)}


def _show(
    chart: TimeChart | VersionChart, drawn: Drawn, table: Table, last: str = "", note: str = ""
) -> ShownChart:
    return ShownChart(
        name=chart["name"],
        title=chart["title"],
        unit=chart["unit"],
        note=note,
        scale=Markup(drawn.scale),  # noqa: S704 - the XML writer has escaped every text
        plot=Markup(drawn.plot),  # noqa: S704 - as above
        names=Markup(drawn.names),  # noqa: S704 - as above
        last=last,
        table=table,
    )


def _tabulate_times(chart: TimeChart) -> Table:
    """Only times of which something is known have a row."""
    columns = [one["values"] for one in chart["series"]]
    rows = [
        (time, values)
        for time, *values in zip(chart["times"], *columns, strict=True)
        if any(value is not None for value in values)
    ]
    head = [name_series(one) for one in chart["series"]]
    form = "%-d %b %H:%M" if chart["seconds"] >= 60 else "%-d %b %H:%M:%S"
    return Table("Time", form, head, rows[::-1][:MOST_ROWS], max(0, len(rows) - MOST_ROWS))


def _tabulate_versions(chart: VersionChart) -> Table:
    rows = [
        (f"v{one['version']}", [format_value(chart, one), "yes" if one["served"] else "no"])
        for one in reversed(chart["points"])
    ]
    return Table("Version", "", ["Value", "Was live"], rows, 0)


def _find_last(chart: VersionChart) -> str:
    last = next(one for one in reversed(chart["points"]) if one["value"] is not None)
    return f"v{last['version']}: {format_value(chart, last)}"
