"""From observations to series: one for each of the last versions, and one for all before them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from qdrant_rollouts.core.answers.charts import Series, TimeChart
from qdrant_rollouts.core.operations.views.charts.axis import Axis
from qdrant_rollouts.core.times import as_iso

#: So many collections have a series of their own; the others are added up.
MOST_SERIES = 7
#: In place of a collection: all earlier ones.
EARLIER = None
#: Values by interval, by collection.
Values = Mapping[str | None, Mapping[int, float | None]]


def choose_collections(last_seen: Mapping[str, datetime]) -> set[str]:
    """Returns the collections that get a series of their own: those that were seen last."""
    ranked = sorted(last_seen, key=lambda name: (last_seen[name], name), reverse=True)
    if len(ranked) == MOST_SERIES + 1:
        return set(ranked)
    return set(ranked[:MOST_SERIES])


def build_chart(
    name: str, title: str, unit: str, axis: Axis, values: Values, numbers: Mapping[str, int]
) -> TimeChart:
    """Returns the chart with a series for each collection, the newest version first."""
    intervals = range(axis.count)
    series: list[Series] = [
        {
            "version": numbers.get(collection or ""),
            "collection": collection,
            "values": [_round_value(values[collection].get(interval)) for interval in intervals],
        }
        for collection in _order_collections(values, numbers)
    ]
    return {
        "name": name,
        "title": title,
        "unit": unit,
        "seconds": axis.window.total_seconds(),
        "times": axis.list_times(),
        "until": as_iso(axis.until),
        "series": series,
    }


def _order_collections(values: Values, numbers: Mapping[str, int]) -> Sequence[str | None]:
    """Collections without a number come after the versions, and the earlier ones last."""
    own = [name for name in values if name is not EARLIER]
    own.sort(key=lambda name: (-numbers.get(name, 0), name))
    return [*own, *(name for name in values if name is EARLIER)]


def _round_value(value: float | None) -> float | None:
    if value is None:
        return None
    return float(f"{value:.4g}")
