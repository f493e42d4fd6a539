"""What is known about an alias before an experiment: how many users come, and how a metric differs
between them.

The last experiments on the alias know every metric that they had, by user. The searches of the last
24 hours know latency, errors and empty answers, by 512 groups of users. The number of empty groups
gives the number of users.
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
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.experiments.analysis import metric_of_spec
from qdrant_rollouts.core.experiments.evidence import Observations, read_evidence
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.route import LIVE, UNROUTED
from qdrant_rollouts.core.statistics import histogram, moments
from qdrant_rollouts.core.statistics.assignment import BASIS
from qdrant_rollouts.core.statistics.comparison import LEAST_UNITS
from qdrant_rollouts.core.statistics.groups import GROUPS
from qdrant_rollouts.core.statistics.moments import Estimate, Moments
from qdrant_rollouts.core.statistics.sums import Sums
from qdrant_rollouts.core.statistics.traffic_sketch import LatencyGrid, TrafficSketch

_DAY = timedelta(days=1)
#: How many earlier experiments are searched for a metric.
_EXPERIMENTS_BACK = 3
#: With fewer empty groups, the number of users would be a guess.
_LEAST_EMPTY = 5


@dataclass(frozen=True, slots=True)
class KnownMetric:
    """A metric of the control: its ``mean``, and the ``deviation`` of one user's value, which is
    sqrt(users * variance of the mean) for every kind; both in the metric's unit."""

    mean: float
    deviation: float
    source: str


@dataclass(frozen=True, slots=True)
class NewUsers:
    """New users per day, if all users take part."""

    per_day: float
    source: str


@dataclass(frozen=True, slots=True)
class UnknownFigure:
    """A missing figure, with the reason and what to do."""

    why: str


@dataclass(frozen=True, slots=True)
class _PastExperiment:
    row: Experiment
    spec: ExperimentSpec
    now: Observations
    closed: Observations

    @property
    def name(self) -> str:
        return f"experiment {self.row.name} ({self.row.id})"

    def asks_about(self, metric: MetricSpec) -> bool:
        mine = self.spec.metric(metric.name)
        return mine is not None and all(
            getattr(mine, key) == getattr(metric, key) for key in ("kind", "source", "per", "level")
        )


class Background:
    """``users_per_day``: if a person gives it, it has priority."""

    def __init__(
        self, session: Session, alias: str, at: datetime, users_per_day: float | None = None
    ) -> None:
        self._session = session
        self._alias = alias
        self._at = at
        self._given = users_per_day

    @cached_property
    def people(self) -> NewUsers | UnknownFigure:
        if self._given is not None:
            return NewUsers(self._given, "given by hand")
        return (
            next(
                (
                    found
                    for past in self._past_experiments
                    if (found := self._users_of_experiment(past))
                ),
                None,
            )
            or self._users_today
        )

    def metric(self, metric: MetricSpec) -> KnownMetric | UnknownFigure:
        """Takes the figures from the newest experiment with the metric, else from the searches."""
        for past in self._past_experiments:
            if past.asks_about(metric) and (found := _metric_of_experiment(past, metric)):
                return found
        if metric.source == "feedback" or metric.kind not in ("ratio", "quantile"):
            return UnknownFigure(
                f"no experiment on {self._alias} has measured it for {LEAST_UNITS} users"
            )
        return self._metric_of_searches(metric)

    @cached_property
    def _past_experiments(self) -> list[_PastExperiment]:
        query = select(Experiment).where(
            Experiment.alias == self._alias, Experiment.started_at.is_not(None)
        )
        rows = self._session.scalars(
            query.order_by(Experiment.started_at.desc()).limit(_EXPERIMENTS_BACK)
        ).all()
        return list(map(self._read_experiment, rows))

    def _read_experiment(self, row: Experiment) -> _PastExperiment:
        spec = read_stored(ExperimentSpec, row.spec)
        found = read_evidence(self._session, row.id, spec, self._at)
        return _PastExperiment(row, spec, found.now, found.closed)

    def _users_of_experiment(self, past: _PastExperiment) -> NewUsers | None:
        """Less than a day does not show which users come again."""
        units = past.now.units.total()
        days = _full_days(past.row, self._at)
        if days < 1 or not units:
            return None
        return NewUsers(
            units / days, f"{past.name}: {units:,} users in what were {days:.1f} days of all users"
        )

    @cached_property
    def _searches(self) -> TrafficSketch:
        """Returns the searches of the last 24 hours in which nothing was compared, because only
        then are all users grouped alike."""
        found = TrafficSketch()
        for keys in traffic.read_tallies_by_stage(
            self._session, self._alias, since=self._at - _DAY
        ).values():
            real = {key.variant: tally for key, tally in keys.items() if key.kind == "real"}
            if real and real.keys() <= {LIVE, UNROUTED}:
                for key, tally in keys.items():
                    if key.kind == "real":
                        found.merge(tally)
        return found

    @cached_property
    def _users_today(self) -> NewUsers | UnknownFigure:
        """Linear counting (Whang, Vander-Zanden, Taylor 1990). A search without a user is in a
        random group, like a separate user, and is subtracted again."""
        tally = self._searches
        if not tally.calls:
            return UnknownFigure("no search of the last 24 hours is known; give --users-per-day")
        empty = GROUPS - tally.units
        if empty < _LEAST_EMPTY:
            most = GROUPS * math.log(GROUPS / _LEAST_EMPTY)
            return UnknownFigure(
                f"more than {most:,.0f} users came in 24 hours, too many to be counted; give "
                "--users-per-day"
            )
        users = round(GROUPS * math.log(GROUPS / empty)) - tally.anonymous
        if users <= 0:
            return UnknownFigure(
                f"the {tally.calls:,} searches of the last 24 hours name no users; give "
                "--users-per-day"
            )
        return NewUsers(users, f"about {users:,} users searched in the last 24 hours")

    def _metric_of_searches(self, metric: MetricSpec) -> KnownMetric | UnknownFigure:
        tally = self._searches
        people = self.people
        if not tally.calls:
            return UnknownFigure(
                f"no experiment has measured it, and no search of {self._alias} in the last 24 "
                "hours is known"
            )
        if isinstance(people, UnknownFigure):
            return people
        estimate = _estimate_from_groups(tally, metric)
        if not isinstance(estimate, Moments):
            return UnknownFigure(
                f"the {tally.calls:,} searches of the last 24 hours do not tell it "
                f"({estimate.reason})"
            )
        return KnownMetric(
            estimate.estimate,
            math.sqrt(people.per_day * estimate.variance),
            f"the {tally.calls:,} searches of the last 24 hours",
        )


def _full_days(row: Experiment, at: datetime) -> float:
    """Returns the days in terms of all users: a day at a coverage of one half counts half."""
    begun = [datetime.fromisoformat(stage["started_at"]) for stage in row.stages]
    ended = [*begun[1:], row.finished_at or at]
    shares = [int(stage["coverage"]) / BASIS for stage in row.stages]
    return sum(
        (end - start) / _DAY * share for start, end, share in zip(begun, ended, shares, strict=True)
    )


def _metric_of_experiment(past: _PastExperiment, metric: MetricSpec) -> KnownMetric | None:
    """Returns the control's figure from closed windows, which contain everything a user did in the
    window."""
    control = past.spec.control.variant
    reading = past.closed
    users = reading.units_of(control)
    estimate = _estimate_of_control(reading, metric, control)
    if users < LEAST_UNITS or not isinstance(estimate, Moments):
        return None
    return KnownMetric(
        estimate.estimate,
        math.sqrt(users * estimate.variance),
        f"{past.name}: {users:,} users of control",
    )


def _estimate_of_control(reading: Observations, metric: MetricSpec, control: str) -> Estimate:
    """Estimates over all stages at once, because no arms are compared."""
    if not metric.sketched:
        mine = (
            sums for (variant, _), sums in reading.sums[metric.name].items() if variant == control
        )
        return metric_of_spec(metric).estimate(sum(mine, Sums()))
    whole = LatencyGrid()
    for (variant, _), grid in reading.sketches[metric.name].items():
        if variant == control:
            whole.merge(grid)
    return moments.latency_quantile(whole, metric.level)


def _estimate_from_groups(tally: TrafficSketch, metric: MetricSpec) -> Estimate:
    if metric.sketched:
        return moments.latency_quantile(tally, metric.level)
    columns = tally.columns()
    calls = columns.by_group()
    totals = {
        "latency": _log_ms_by_group,
        "errors": lambda _: columns.failed,
        "zero_results": _zero_results_by_group,
    }[metric.source](tally)
    seen = calls > 0
    return metric_of_spec(metric).estimate(Sums.of(totals[seen], calls[seen]))


def _log_ms_by_group(tally: TrafficSketch) -> moments.Floats:
    """Returns the sum of ln(milliseconds) by group, computed from the middles of the buckets."""
    columns = tally.columns()
    middles = np.array(
        [sum(histogram.bucket_bounds(bucket)) / 2 * 1000 for bucket in range(histogram.BUCKETS)]
    )
    weights = np.log(middles)[columns.buckets] * columns.calls
    return np.bincount(columns.groups, weights=weights, minlength=GROUPS).astype(np.float64)


def _zero_results_by_group(tally: TrafficSketch) -> moments.Floats:
    found = np.zeros(GROUPS)
    for group, searches in tally.nothing.items():
        found[group] = searches
    return found
