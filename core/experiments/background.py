"""What is known of an alias before an experiment: how many users come, and how a metric differs between them.

The last experiments on the alias know every metric they had, by user. The searches of the last 24 hours know latency,
errors and empty answers, by 512 groups of users; how many users that are follows from how many groups are empty.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec, MetricSpec
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.stored_json import stored
from qdrant_rollouts.core.experiments.analysis import pure
from qdrant_rollouts.core.experiments.evidence import Reading, read
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.route import LIVE, UNROUTED
from qdrant_rollouts.core.statistics import histogram
from qdrant_rollouts.core.statistics import moments as tallies
from qdrant_rollouts.core.statistics.assignment import BASIS
from qdrant_rollouts.core.statistics.comparison import LEAST_UNITS
from qdrant_rollouts.core.statistics.groups import GROUPS
from qdrant_rollouts.core.statistics.moments import Estimate, Moments
from qdrant_rollouts.core.statistics.sums import Sums
from qdrant_rollouts.core.statistics.traffic_sketch import Grid, Tally

_DAY = timedelta(days=1)
#: How many experiments back a metric is looked for.
_EXPERIMENTS = 3
#: With fewer groups that nobody is in, the number of users is a guess.
_LEAST_EMPTY = 5


@dataclass(frozen=True, slots=True)
class Known:
    """A metric with control: its ``mean``, and the ``deviation`` of one user's value, which is sqrt(users * variance of
    the mean) whatever the kind; both in the metric's unit."""

    mean: float
    deviation: float
    source: str


@dataclass(frozen=True, slots=True)
class People:
    """New users a day, at a coverage of all."""

    per_day: float
    source: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No figure, and in words why and what to do."""

    why: str


@dataclass(frozen=True, slots=True)
class _Past:
    row: Experiment
    spec: ExperimentSpec
    now: Reading
    closed: Reading

    @property
    def name(self) -> str:
        return f"experiment {self.row.name} ({self.row.id})"

    def asked(self, metric: MetricSpec) -> bool:
        mine = self.spec.metric(metric.name)
        return mine is not None and all(
            getattr(mine, key) == getattr(metric, key) for key in ("kind", "source", "per", "level")
        )


class Background:
    """``users_per_day``: given by hand, it comes before what is found."""

    def __init__(self, session: Session, alias: str, at: datetime, users_per_day: float | None = None) -> None:
        self._session, self._alias, self._at, self._given = session, alias, at, users_per_day

    @cached_property
    def people(self) -> People | Unknown:
        if self._given is not None:
            return People(self._given, "given by hand")
        return next((found for past in self._past if (found := self._came(past))), None) or self._today

    def metric(self, metric: MetricSpec) -> Known | Unknown:
        """From the newest experiment that had it, else from the searches."""
        for past in self._past:
            if past.asked(metric) and (found := _measured(past, metric)):
                return found
        if metric.source == "feedback" or metric.kind not in ("ratio", "quantile"):
            return Unknown(f"no experiment on {self._alias} has measured it for {LEAST_UNITS} users")
        return self._searched(metric)

    # --- experiments ----------------------------------------------------------------------------------------------

    @cached_property
    def _past(self) -> list[_Past]:
        query = select(Experiment).where(Experiment.alias == self._alias, Experiment.started_at.is_not(None))
        rows = self._session.scalars(query.order_by(Experiment.started_at.desc()).limit(_EXPERIMENTS)).all()
        return list(map(self._read, rows))

    def _read(self, row: Experiment) -> _Past:
        spec = stored(ExperimentSpec, row.spec)
        found = read(self._session, row.id, spec, self._at)
        return _Past(row, spec, found.now, found.closed)

    def _came(self, past: _Past) -> People | None:
        """Of less than a day one does not know who comes again."""
        units, days = past.now.units.total(), _full_days(past.row, self._at)
        if days < 1 or not units:
            return None
        return People(units / days, f"{past.name}: {units:,} users in what were {days:.1f} days of all users")

    # --- searches -------------------------------------------------------------------------------------------------

    @cached_property
    def _searches(self) -> Tally:
        """Of the last 24 hours, while nothing was compared: users are grouped alike only then."""
        found = Tally()
        for keys in traffic.stages(self._session, self._alias, since=self._at - _DAY).values():
            real = {key.variant: tally for key, tally in keys.items() if key.kind == "real"}
            if real and real.keys() <= {LIVE, UNROUTED}:
                for key, tally in keys.items():
                    if key.kind == "real":
                        found.merge(tally)
        return found

    @cached_property
    def _today(self) -> People | Unknown:
        """Linear counting (Whang, Vander-Zanden, Taylor 1990). A search without a user is in a group drawn for it, as
        if it were a user of its own, and taken off again."""
        tally = self._searches
        if not tally.calls:
            return Unknown("no search of the last 24 hours is known; give --users-per-day")
        empty = GROUPS - tally.units
        if empty < _LEAST_EMPTY:
            most = GROUPS * math.log(GROUPS / _LEAST_EMPTY)
            return Unknown(
                f"more than {most:,.0f} users came in 24 hours, too many to be counted; give --users-per-day"
            )
        users = round(GROUPS * math.log(GROUPS / empty)) - tally.anonymous
        if users <= 0:
            return Unknown(f"the {tally.calls:,} searches of the last 24 hours name no users; give --users-per-day")
        return People(users, f"about {users:,} users searched in the last 24 hours")

    def _searched(self, metric: MetricSpec) -> Known | Unknown:
        tally, people = self._searches, self.people
        if not tally.calls:
            return Unknown(
                f"no experiment has measured it, and no search of {self._alias} in the last 24 hours is known"
            )
        if isinstance(people, Unknown):
            return people
        estimate = _from_groups(tally, metric)
        if not isinstance(estimate, Moments):
            return Unknown(f"the {tally.calls:,} searches of the last 24 hours do not tell it ({estimate.reason})")
        return Known(
            estimate.estimate,
            math.sqrt(people.per_day * estimate.variance),
            f"the {tally.calls:,} searches of the last 24 hours",
        )


def _full_days(row: Experiment, at: datetime) -> float:
    """Days of all users: those at a coverage of one half count half."""
    begun = [datetime.fromisoformat(stage["started_at"]) for stage in row.stages]
    ended = [*begun[1:], row.finished_at or at]
    shares = [int(stage["coverage"]) / BASIS for stage in row.stages]
    return sum((end - start) / _DAY * share for start, end, share in zip(begun, ended, shares, strict=True))


def _measured(past: _Past, metric: MetricSpec) -> Known | None:
    """Control's figure, of closed windows: the whole of what a user does in his."""
    control, reading = past.spec.control.variant, past.closed
    users = reading.units_of(control)
    estimate = _of_control(reading, metric, control)
    if users < LEAST_UNITS or not isinstance(estimate, Moments):
        return None
    return Known(estimate.estimate, math.sqrt(users * estimate.variance), f"{past.name}: {users:,} users of control")


def _of_control(reading: Reading, metric: MetricSpec, control: str) -> Estimate:
    """Over all stages at once: no arms are compared."""
    if not metric.sketched:
        mine = (sums for (variant, _), sums in reading.sums[metric.name].items() if variant == control)
        return pure(metric).estimate(sum(mine, Sums()))
    whole = Grid()
    for (variant, _), grid in reading.sketches[metric.name].items():
        if variant == control:
            whole.merge(grid)
    return tallies.quantile(whole, metric.level)


def _from_groups(tally: Tally, metric: MetricSpec) -> Estimate:
    if metric.sketched:
        return tallies.quantile(tally, metric.level)
    columns = tally.columns()
    calls = columns.by_group()
    totals = {"latency": _log_ms, "errors": lambda _: columns.failed, "zero_results": _nothing}[metric.source](tally)
    seen = calls > 0
    return pure(metric).estimate(Sums.of(totals[seen], calls[seen]))


def _log_ms(tally: Tally) -> tallies.Floats:
    """By group, the sum of ln(milliseconds), read from the middles of the buckets."""
    columns = tally.columns()
    middles = np.array([sum(histogram.bounds(bucket)) / 2 * 1000 for bucket in range(histogram.BUCKETS)])
    weights = np.log(middles)[columns.buckets] * columns.calls
    return np.bincount(columns.groups, weights=weights, minlength=GROUPS).astype(np.float64)


def _nothing(tally: Tally) -> tallies.Floats:
    found = np.zeros(GROUPS)
    for group, searches in tally.nothing.items():
        found[group] = searches
    return found
