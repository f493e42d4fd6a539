"""Which users met which arm of an experiment, and what they did, by user and as sums.

Rule: the first exposure is final. It is written in the same transaction as the observations that
follow it and before them, so no observation is ever without one. A user counts for the arm and the
stage of their first exposure, whatever serves them later (intention to treat), and only within
their window.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec, MetricSpec
from qdrant_rollouts.core.database import upserts
from qdrant_rollouts.core.database.experiment_rows import (
    Experiment,
    ExposureRow,
    SketchRow,
    UnitSum,
)
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

#: Maximum number of values in one ``IN``.
_MOST_PER_QUERY = 5000
#: Users of one arm whose windows end within this share of a window share a sketch.
_SLICES_PER_WINDOW = 24


#: An interleaved list: each position's document, and the side of a click on it: 1 the treatment, -1
#: the control, 0 neither.
ServedList = list[list[Any]]


class Person(NamedTuple):
    """``unit`` as returned by ``unit_of_user``."""

    experiment_id: str
    unit: str


@dataclass(slots=True)
class UserSearches:
    """The sums of one user's searches since the last write. ``variant`` served them, in this
    ``stage``. ``group`` is the user's cluster in a sketch (``core.statistics.traffic_sketch``),
    ``latencies`` counts buckets of the histogram."""

    variant: str
    stage: int
    collection: str
    bucket: int
    group: int
    searches: int = 1
    errors: int = 0
    zero_results: int = 0
    log_ms: float = 0.0
    latencies: Counter[int] = field(default_factory=Counter)
    #: Whether both arms served the user in this short time.
    crossed: bool = False

    def merge(self, later: "UserSearches") -> None:
        self.crossed |= later.crossed or later.variant != self.variant
        self.searches += later.searches
        self.errors += later.errors
        self.zero_results += later.zero_results
        self.log_ms += later.log_ms
        self.latencies.update(later.latencies)


@dataclass(frozen=True, slots=True)
class Exposure:
    """``closes_at``: the end of the window in which the user's actions count."""

    variant: str
    stage: int
    closes_at: datetime


def unit_of_user(experiment_id: str, user_id: str) -> str:
    """Returns a user's name in an experiment's tables: a salted hash, so that no name is stored and
    no user can be followed from one experiment to the next."""
    return hashlib.blake2b(f"unit:{experiment_id}:{user_id}".encode(), digest_size=12).hexdigest()


def write_exposures(session: Session, now: datetime, people: Mapping[Person, UserSearches]) -> None:
    """Adds the exposures."""
    by_experiment: dict[str, dict[str, UserSearches]] = defaultdict(dict)
    for person, seen in people.items():
        by_experiment[person.experiment_id][person.unit] = seen
    for experiment_id, units in sorted(by_experiment.items()):
        row = session.get(Experiment, experiment_id)
        if row is not None:
            Ledger(session, row.id, read_stored(ExperimentSpec, row.spec)).write(now, units)


class Ledger:
    """One experiment's exposures and sums, within a transaction."""

    def __init__(self, session: Session, experiment_id: str, spec: ExperimentSpec) -> None:
        self._session = session
        self._id = experiment_id
        self._spec = spec

    def write(self, now: datetime, units: Mapping[str, UserSearches]) -> None:
        self._insert_exposures(now, units)
        exposed = self.find_exposures(units)
        self.cross(
            {
                unit
                for unit, seen in units.items()
                if seen.crossed or seen.variant != exposed[unit].variant
            }
        )
        inside = {unit: seen for unit, seen in units.items() if now < exposed[unit].closes_at}
        for metric in self._spec.metrics:
            if metric.source == "latency" and metric.sketched:
                self._add_latency_sketches(metric, inside, exposed)
            elif not metric.sketched:
                self._add_searches(metric, inside, exposed)

    def find_exposures(self, units: Iterable[str]) -> dict[str, Exposure]:
        """Returns the exposures of those of ``units`` that have one."""
        found: dict[str, Exposure] = {}
        columns = ExposureRow.unit, ExposureRow.variant, ExposureRow.stage, ExposureRow.closes_at
        for chunk in _split_chunks(units):
            query = select(*columns).where(
                ExposureRow.experiment_id == self._id, ExposureRow.unit.in_(chunk)
            )
            found.update({unit: Exposure(*mine) for unit, *mine in self._session.execute(query)})  # type: ignore[arg-type]  # a row's tail has no types
        return found

    def cross(self, units: Iterable[str]) -> None:
        """Records that these users met an arm other than their own."""
        for chunk in _split_chunks(sorted(units)):
            mine = ExposureRow.experiment_id == self._id, ExposureRow.unit.in_(chunk)
            self._session.execute(
                update(ExposureRow).where(*mine, ~ExposureRow.crossed).values(crossed=True)
            )

    def add(
        self, metric: str, sums: Mapping[str, tuple[float, float]], exposed: Mapping[str, Exposure]
    ) -> None:
        """Adds to each unit's sums: the number that the metric is counted per, and the sum of its
        values."""
        rows = [
            {
                "unit": unit,
                "metric": metric,
                "count": count,
                "total": total,
                **self._columns_of_exposure(exposed[unit]),
            }
            for unit, (count, total) in sums.items()
        ]
        upserts.insert_or_add(self._session, UnitSum, rows, ("count", "total"))

    def add_sketch(self, metric: str, whose: Exposure, tally: TrafficSketch) -> None:
        self._session.add(
            SketchRow(
                metric=metric,
                tally=tally.to_json(),
                **self._columns_of_exposure(self._round_up_window(whose)),
            )
        )

    def _columns_of_exposure(self, exposure: Exposure) -> dict[str, Any]:
        arm = {
            "variant": exposure.variant,
            "stage": exposure.stage,
            "closes_at": exposure.closes_at,
        }
        return {"experiment_id": self._id, **arm}

    def _insert_exposures(self, now: datetime, units: Mapping[str, UserSearches]) -> None:
        closes = now + timedelta(hours=self._spec.window_hours)
        rows = [
            {
                "unit": unit,
                "bucket": seen.bucket,
                "collection": seen.collection,
                "first_seen_at": now,
                "crossed": False,
                **self._columns_of_exposure(Exposure(seen.variant, seen.stage, closes)),
            }
            for unit, seen in units.items()
        ]
        upserts.insert_new(self._session, ExposureRow, rows)

    def _add_searches(
        self, metric: MetricSpec, units: Mapping[str, UserSearches], exposed: Mapping[str, Exposure]
    ) -> None:
        if metric.source == "feedback":
            if metric.per == "search":
                self.add(
                    metric.name,
                    {unit: (seen.searches, 0.0) for unit, seen in units.items()},
                    exposed,
                )
            return
        column = "log_ms"
        if metric.source != "latency":
            column = metric.source
        self.add(
            metric.name,
            {unit: (seen.searches, getattr(seen, column)) for unit, seen in units.items()},
            exposed,
        )

    def _add_latency_sketches(
        self, metric: MetricSpec, units: Mapping[str, UserSearches], exposed: Mapping[str, Exposure]
    ) -> None:
        tallies: dict[Exposure, TrafficSketch] = defaultdict(TrafficSketch)
        for unit, seen in units.items():
            cells = {(seen.group, bucket): calls for bucket, calls in seen.latencies.items()}
            tallies[self._round_up_window(exposed[unit])].cells.update(cells)
        for whose, tally in tallies.items():
            self.add_sketch(metric.name, whose, tally)

    def _round_up_window(self, exposure: Exposure) -> Exposure:
        """Returns the same with the window's end postponed, by less than a part of it, so that many
        windows end together."""
        size = timedelta(hours=self._spec.window_hours) / _SLICES_PER_WINDOW
        later = (datetime.min.replace(tzinfo=exposure.closes_at.tzinfo) - exposure.closes_at) % size
        return replace(exposure, closes_at=exposure.closes_at + later)


def _split_chunks(units: Iterable[str]) -> Iterator[list[str]]:
    left = iter(units)
    while chunk := list(islice(left, _MOST_PER_QUERY)):
        yield chunk
