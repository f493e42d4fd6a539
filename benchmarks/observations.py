"""Ten searches of each of many users, written down as an experiment keeps them: by user, without
the searches.

The database makes the rows itself, from the users' numbers, in a minute: what a ledger
(``core.routing.exposures``) would have written in many batches. Two thirds of the windows have
closed; the others end at any hour of the next day, as they do while an experiment runs. Sketches
have as many latencies as there are searches, of no user in particular.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, ColumnElement, Text, case, cast, insert, literal, select, update
from sqlalchemy.orm import Session, sessionmaker

from qdrant_rollouts.core.database.experiment_rows import (
    Experiment,
    ExposureRow,
    SketchRow,
    UnitSum,
)
from qdrant_rollouts.core.database.models import UtcDateTime
from qdrant_rollouts.core.statistics import histogram
from qdrant_rollouts.core.statistics.traffic_sketch import GROUPS, TrafficSketch

#: Of a user, on average.
SEARCHES = 10
VARIANTS = ("control", "treatment")
#: One statement's: PostgreSQL gives up after five seconds, however busy the machine is.
_CHUNK = 20_000
_SLICES = 24
_OPEN = 1 / 3
#: A prime, whose multiples spread users' numbers over the keys as hashes would.
_SPREAD = 2_654_435_761
Expression = ColumnElement[Any]


def fill(sessions: sessionmaker[Session], experiment_id: str, users: int, now: datetime) -> None:
    """Adds ``users`` of an experiment that has the default metrics and latency_p95."""
    for first in range(0, users, _CHUNK):
        with sessions.begin() as session:
            for table, columns, rows in _statements(
                experiment_id, first, min(first + _CHUNK, users), now
            ):
                session.execute(insert(table).from_select(columns, rows))
    with sessions.begin() as session:
        session.execute(insert(SketchRow), list(_sketches(experiment_id, users * SEARCHES, now)))
        long_ago = now - timedelta(days=7)
        session.execute(
            update(Experiment).where(Experiment.id == experiment_id).values(started_at=long_ago)
        )


def _statements(
    experiment_id: str, first: int, end: int, now: datetime
) -> Iterator[tuple[type[Any], list[str], Any]]:
    numbers = select(literal(first, BigInteger).label("i")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.i + 1).where(numbers.c.i < end - 1))
    drawn = (numbers.c.i + 1) * _SPREAD % 4_294_967_296
    whose = {
        "experiment_id": literal(experiment_id),
        "unit": literal("0123456789a") + cast(1_000_000_000_000 + drawn, Text),
        "variant": case((drawn % 2 == 0, VARIANTS[0]), else_=VARIANTS[1]),
        "stage": literal(1),
        "closes_at": _closes(drawn // 2 % int(_SLICES / _OPEN), now),
    }
    met = {
        "bucket": literal(0),
        "collection": literal("a"),
        "first_seen_at": literal(now, UtcDateTime),
    }
    yield _from(ExposureRow, {**whose, **met, "crossed": literal(value=False)}, numbers)
    searches = 1 + drawn // 64 % (2 * SEARCHES - 1)
    for metric, (count, total) in _sums(drawn, searches).items():
        yield _from(
            UnitSum, {**whose, "metric": literal(metric), "count": count, "total": total}, numbers
        )


def _sums(drawn: Expression, searches: Expression) -> dict[str, tuple[Expression, Expression]]:
    """By metric what is counted and what it comes to."""
    rated = drawn // 4096 % 3
    return {
        "latency": (searches, searches * (2.5 + drawn // 256 % 1000 * 0.001)),
        "clicks": (searches, drawn // 1024 % (searches + 1)),
        "relevance": (rated, rated * 0.7),
    }


def _closes(drawn: Expression, now: datetime) -> Expression:
    late = {
        hour - 1: literal(now + timedelta(hours=hour), UtcDateTime)
        for hour in range(1, _SLICES + 1)
    }
    return case(late, value=drawn, else_=literal(now - timedelta(hours=1), UtcDateTime))


def _from(
    table: type[Any], columns: dict[str, Expression], numbers: Any
) -> tuple[type[Any], list[str], Any]:
    return (
        table,
        list(columns),
        select(*columns.values()).select_from(numbers).order_by(columns["unit"]),
    )


def _sketches(experiment_id: str, searches: int, now: datetime) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(17)
    for variant in VARIANTS:
        for late in range(_SLICES + 1):
            share = _OPEN / _SLICES if late else 1 - _OPEN
            yield {
                "experiment_id": experiment_id,
                "metric": "latency_p95",
                "variant": variant,
                "stage": 1,
                "closes_at": now + timedelta(hours=late) if late else None,
                "tally": _tally(rng, int(searches * share / len(VARIANTS))).to_json(),
            }


def _tally(rng: np.random.Generator, searches: int) -> TrafficSketch:
    cells: Counter[tuple[int, int]] = Counter()
    tally = TrafficSketch()
    buckets = np.fromiter(
        map(histogram.bucket_index, rng.lognormal(-4.0, 0.6, 20_000)), np.int64, 20_000
    )
    places = rng.integers(0, GROUPS, searches) * histogram.BUCKETS + rng.choice(buckets, searches)
    for place, calls in zip(
        *(column.tolist() for column in np.unique(places, return_counts=True)), strict=True
    ):
        cells[divmod(place, histogram.BUCKETS)] = calls
    tally.cells = cells
    return tally
