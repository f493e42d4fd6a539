"""How fast versions are filled, over time."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from qdrant_rollouts.core.answers.charts import TimeChart
from qdrant_rollouts.core.deployments.fill_history import FillRate
from qdrant_rollouts.core.operations.views.charts.axis import Axis
from qdrant_rollouts.core.operations.views.charts.series import (
    EARLIER,
    build_chart,
    choose_collections,
)


def chart_filling(rates: Sequence[FillRate], axis: Axis, numbers: Mapping[str, int]) -> TimeChart:
    """Returns the records, or points, that were written a second, while there was a filling."""
    own = choose_collections(_list_last_seen(rates))
    parts: dict[tuple[str | None, int], list[FillRate]] = defaultdict(list)
    for rate in rates:
        interval = _find_interval(axis, rate.ended)
        if interval is not None:
            parts[rate.collection if rate.collection in own else EARLIER, interval].append(rate)
    values: dict[str | None, dict[int, float | None]] = defaultdict(dict)
    for (name, interval), some in parts.items():
        values[name][interval] = _average_rate(some)
    return build_chart("filling", "Filling", "records per second", axis, values, numbers)


def _find_interval(axis: Axis, at: datetime) -> int | None:
    """A filling is shown to the present moment, which is after the last whole minute."""
    last = axis.until - timedelta(microseconds=1)
    if last < at <= last + axis.window:
        return axis.find_interval(last)
    return axis.find_interval(at)


def _list_last_seen(rates: Iterable[FillRate]) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for rate in rates:
        found[rate.collection] = max(rate.ended, found.get(rate.collection, rate.ended))
    return found


def _average_rate(rates: Sequence[FillRate]) -> float | None:
    """Returns what was written in the measured time; if none was measured, what the step said."""
    seconds = sum((one.ended - one.begun).total_seconds() for one in rates if one.begun)
    if seconds > 0:
        return sum(one.records for one in rates) / seconds
    said = [one.rate for one in rates if one.rate is not None]
    if not said:
        return None
    return sum(said) / len(said)
