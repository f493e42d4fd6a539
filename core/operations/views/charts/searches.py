"""Searches, failures and latencies over time, by the collection that answered."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers.charts import TimeChart
from qdrant_rollouts.core.operations.views.charts.axis import Axis
from qdrant_rollouts.core.operations.views.charts.series import (
    EARLIER,
    build_chart,
    choose_collections,
)
from qdrant_rollouts.core.routing import search_history, traffic
from qdrant_rollouts.core.statistics.search_counts import SearchCounts

#: So many batches are read that are not folded yet; there are more only if nobody folds.
_MOST_UNFOLDED = 4000


_Value = TypeVar("_Value")


class Searched(NamedTuple):
    """Searches of a collection from ``at`` on; ``latencies`` are packed."""

    at: datetime
    collection: str
    errors: int
    latencies: bytes


@dataclass(frozen=True, slots=True)
class _Figures:
    """Of one collection in one interval; latencies in milliseconds."""

    searches: int
    errors: int
    p50: float | None
    p95: float | None


Figures = Mapping[str | None, Mapping[int, _Figures]]


def read_searches(
    session: Session, alias: str, level: str, axis: Axis, only: Collection[str] = ()
) -> list[Searched]:
    """Reads what the axis shows, of all collections or ``only`` of some. The caller's transaction
    must see one state of the database, or a batch that is folded meanwhile is missed or read
    twice."""
    folded = search_history.list_searches(session, alias, level, axis.begun, axis.until)
    fresh = traffic.list_unfolded(session, alias, axis.begun, _MOST_UNFOLDED)
    found = [Searched(*row) for row in folded]
    found += [_read_batch(*row) for row in fresh if row.at < axis.until]
    return [row for row in found if not only or row.collection in only]


def _read_batch(at: datetime, collection: str, tally: Mapping[str, Any]) -> Searched:
    counts = SearchCounts()
    counts.add_sketch(tally)
    return Searched(at, collection, counts.errors, counts.pack_latencies())


def list_last_seen(rows: Iterable[Searched]) -> dict[str, datetime]:
    """Returns when each collection was searched last."""
    found: dict[str, datetime] = {}
    for row in rows:
        found[row.collection] = max(row.at, found.get(row.collection, row.at))
    return found


def chart_searches(
    rows: Sequence[Searched], axis: Axis, numbers: Mapping[str, int]
) -> list[TimeChart]:
    """Returns searches and failures a minute, and the latencies that half and 95 of 100 searches do
    not exceed."""
    figures = _add_up(rows, axis)

    def rate_searches(interval: int, one: _Figures) -> float:
        return one.searches / axis.measure_minutes(interval)

    def rate_errors(interval: int, one: _Figures) -> float:
        return one.errors / axis.measure_minutes(interval)

    searches = _fill_zeros(_map_figures(figures, rate_searches))
    errors = _fill_zeros(_map_figures(figures, rate_errors))
    p50 = _map_figures(figures, lambda _, one: one.p50)
    p95 = _map_figures(figures, lambda _, one: one.p95)
    return [
        build_chart("searches", "Searches", "per minute", axis, searches, numbers),
        build_chart("errors", "Failed searches", "per minute", axis, errors, numbers),
        build_chart("p50", "Latency p50", "ms", axis, p50, numbers),
        build_chart("p95", "Latency p95", "ms", axis, p95, numbers),
    ]


def _add_up(rows: Sequence[Searched], axis: Axis) -> Figures:
    """One interval of one collection after the other, because counts are large."""
    own = choose_collections(list_last_seen(rows))
    parts: dict[tuple[str | None, int], list[Searched]] = defaultdict(list)
    for row in rows:
        interval = axis.find_interval(row.at)
        if interval is not None:
            parts[row.collection if row.collection in own else EARLIER, interval].append(row)
    found: dict[str | None, dict[int, _Figures]] = defaultdict(dict)
    for (name, interval), some in parts.items():
        found[name][interval] = _sum_rows(some)
    return found


def _sum_rows(rows: Sequence[Searched]) -> _Figures:
    counts = SearchCounts()
    counts.add_packed(sum(row.errors for row in rows), b"".join(row.latencies for row in rows))
    return _Figures(
        counts.searches, counts.errors, _as_ms(counts.quantile(0.5)), _as_ms(counts.quantile(0.95))
    )


def _as_ms(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    return seconds * 1000


def _map_figures(
    figures: Figures, find: Callable[[int, _Figures], _Value]
) -> dict[str | None, dict[int, _Value]]:
    return {
        name: {interval: find(interval, one) for interval, one in of.items()}
        for name, of in figures.items()
    }


def _fill_zeros(
    counted: Mapping[str | None, Mapping[int, float]],
) -> dict[str | None, dict[int, float]]:
    """Where another collection was searched, the routers told what they knew: between its first and
    its last search, a collection that was not mentioned there was not searched."""
    observed = sorted({interval for values in counted.values() for interval in values})
    return {
        name: {interval: values.get(interval, 0.0) for interval in _list_between(observed, values)}
        for name, values in counted.items()
    }


def _list_between(intervals: Sequence[int], known: Mapping[int, float]) -> Iterator[int]:
    first = min(known)
    last = max(known)
    return (interval for interval in intervals if first <= interval <= last)
