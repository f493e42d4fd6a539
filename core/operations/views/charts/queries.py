"""The charts of an index over a period, and those of one deployment."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.charts import Charts, TimeChart
from qdrant_rollouts.core.collections.lineage import read_numbers
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.snapshots import open_snapshot
from qdrant_rollouts.core.deployments import fill_history
from qdrant_rollouts.core.deployments.fill_history import FillRate
from qdrant_rollouts.core.operations.views.charts.axis import (
    DEFAULT_PERIOD,
    Axis,
    cut_period,
    cut_span,
    find_period,
)
from qdrant_rollouts.core.operations.views.charts.fillings import chart_filling
from qdrant_rollouts.core.operations.views.charts.searches import (
    Searched,
    chart_searches,
    list_last_seen,
    read_searches,
)
from qdrant_rollouts.core.operations.views.charts.switches import list_switches
from qdrant_rollouts.core.operations.views.charts.versions import chart_versions
from qdrant_rollouts.core.routing.search_history import HOUR, MINUTE, WINDOWS
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso, floor_time

#: The minutes of a run that began before are not all there any more.
_DAY = timedelta(hours=24)
#: What searches experience right after a run belongs to its result.
_AFTERWARDS = timedelta(minutes=10)
_SHORTEST_FILLING = timedelta(seconds=10)


def chart_index(services: Services, alias: str, period: str = DEFAULT_PERIOD) -> Charts:
    """Returns the charts of an index; they are empty for an index of which nothing was observed.
    Raises Malformed for an unknown period."""
    wanted = find_period(period)
    with open_snapshot(services.sessions) as session:
        now = services.clock.now(session)
        axis = cut_period(now, wanted)
        rows = read_searches(session, alias, wanted.level, axis)
        rates = fill_history.list_fill_rates(session, alias, axis.begun)
        numbers = _read_names(session, rows, rates)
        switches = list_switches(session, alias, axis.begun)
        versions = chart_versions(session, alias)
    return {
        "alias": alias,
        "period": period,
        "since": as_iso(axis.begun),
        "now": as_iso(now),
        "searched": bool(rows),
        "charts": _chart_rows(rows, axis, rates, axis, numbers),
        "versions": versions,
        "switches": switches,
    }


def chart_deployment(services: Services, deployment_id: str) -> Charts | None:
    """Returns how fast green is filled, and what searches of blue and green experience since the
    run began; None for a run that replaces nothing, such as a backup. ``deployment_id`` is
    complete."""
    with open_snapshot(services.sessions) as session:
        now = services.clock.now(session)
        run = session.get_one(Deployment, deployment_id)
        if run.kind != "rollout":
            return None
        axis, level = _cut_run(run, now)
        mine = [name for name in (run.blue, run.green) if name is not None]
        rows = read_searches(session, run.alias, level, axis, mine)
        rates = fill_history.list_rates_of_run(session, run.id)
        numbers = _read_names(session, rows, rates)
        switches = list_switches(session, run.alias, axis.begun, axis.until)
    charts = _chart_rows(rows, axis, rates, _cut_filling(rates), numbers)
    return {
        "alias": run.alias,
        "period": None,
        "since": as_iso(axis.begun),
        "now": as_iso(now),
        "searched": bool(rows),
        "charts": [chart for chart in charts if chart["name"] != "errors"],
        "versions": [],
        "switches": switches,
    }


def _read_names(
    session: Session, rows: Sequence[Searched], rates: Sequence[FillRate]
) -> dict[str, int]:
    names = {*list_last_seen(rows), *(rate.collection for rate in rates)}
    return read_numbers(session, names)


def _chart_rows(
    rows: Sequence[Searched],
    axis: Axis,
    rates: Sequence[FillRate],
    filled: Axis | None,
    numbers: Mapping[str, int],
) -> list[TimeChart]:
    """Returns the charts of which something was observed."""
    charts = []
    if rows:
        charts += chart_searches(rows, axis, numbers)
    if rates and filled is not None:
        charts.append(chart_filling(rates, filled, numbers))
    return charts


def _cut_run(run: Deployment, now: datetime) -> tuple[Axis, str]:
    """Returns the time from the beginning of the run until shortly after its end, and the level of
    the rows that are still there of it."""
    level = MINUTE if now - run.created_at < _DAY else HOUR
    least = WINDOWS[level]
    begun = floor_time(run.created_at, least)
    until = floor_time(now, WINDOWS[MINUTE])
    if run.finished_at is not None:
        until = min(until, floor_time(run.finished_at + _AFTERWARDS, least) + least)
    return cut_span(begun, max(until, begun + WINDOWS[MINUTE]), least), level


def _cut_filling(rates: Sequence[FillRate]) -> Axis | None:
    if not rates:
        return None
    begun = min(rate.begun or rate.ended for rate in rates)
    last = max(rate.ended for rate in rates)
    return cut_span(begun, last + timedelta(microseconds=1), _SHORTEST_FILLING)
