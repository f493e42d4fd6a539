"""What an experiment has observed so far, added up in the database: memory depends on arms and
metrics, not on users."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec, MetricSpec
from qdrant_rollouts.core.database.experiment_rows import CountRow, ExposureRow, SketchRow, UnitSum
from qdrant_rollouts.core.statistics import moments
from qdrant_rollouts.core.statistics.comparison import Stratum
from qdrant_rollouts.core.statistics.metric import Metric
from qdrant_rollouts.core.statistics.moments import Estimate, Unclear
from qdrant_rollouts.core.statistics.sums import Sums
from qdrant_rollouts.core.statistics.traffic_sketch import LatencyGrid

#: (variant, stage)
ArmStage = tuple[str, int]


@dataclass(slots=True)
class Observations:
    """The exposed users of each arm and stage, and for each metric their sums or sketches."""

    units: Counter[ArmStage] = field(default_factory=Counter)
    sums: dict[str, dict[ArmStage, Sums]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Sums))
    )
    sketches: dict[str, dict[ArmStage, LatencyGrid]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(LatencyGrid))
    )

    def units_of(self, variant: str) -> int:
        return sum(units for (name, _), units in self.units.items() if name == variant)

    def strata(self, metric: MetricSpec, of: Metric, control: str, treatment: str) -> list[Stratum]:
        stages = sorted({stage for _, stage in self.units})
        return [
            Stratum(
                self.units[treatment, stage],
                self._estimate_metric(metric, of, (control, stage)),
                self._estimate_metric(metric, of, (treatment, stage)),
            )
            for stage in stages
        ]

    def conversions(self, metric: MetricSpec, variant: str) -> float:
        """Returns the number of reported values; for a metric per search, of values above 0, by
        their sum."""
        if metric.sketched:
            return sum(
                grid.calls
                for (name, _), grid in self.sketches[metric.name].items()
                if name == variant
            )
        mine = [sums for (name, _), sums in self.sums[metric.name].items() if name == variant]
        return sum(sums.total if metric.per == "search" else sums.count for sums in mine)

    def _estimate_metric(self, metric: MetricSpec, of: Metric, arm: ArmStage) -> Estimate:
        if not self.units[arm]:
            return Unclear("no_data")
        if metric.sketched:
            return moments.latency_quantile(
                self.sketches[metric.name][arm], metric.level, least_units=2
            )
        return of.estimate(self.sums[metric.name][arm])


@dataclass(frozen=True, slots=True)
class Evidence:
    """``now`` includes all users, ``closed`` only those whose windows have ended."""

    now: Observations
    closed: Observations
    crossed: int
    counts: Sequence[CountRow]

    @property
    def orphans(self) -> int:
        """Observations of users who were never exposed."""
        return sum(row.count for row in self.counts if row.what == "refused: never exposed")


def read_evidence(
    session: Session, experiment_id: str, spec: ExperimentSpec, at: datetime
) -> Evidence:
    now = Observations()
    closed = Observations()
    crossed = _add_units(session, experiment_id, at, now, closed)
    _add_sums(session, experiment_id, spec, (now, closed), UnitSum.closes_at <= at)
    _add_sums(session, experiment_id, spec, (now,), UnitSum.closes_at > at)
    for reading in (now, closed):
        _count_all_exposed(reading, spec)
    _add_sketches(session, experiment_id, at, now, closed)
    return Evidence(now, closed, crossed, list_counts(session, experiment_id))


def list_counts(session: Session, experiment_id: str) -> Sequence[CountRow]:
    """Returns counts that decide nothing."""
    return session.scalars(
        select(CountRow).where(CountRow.experiment_id == experiment_id).order_by(CountRow.what)
    ).all()


def _add_units(
    session: Session, experiment_id: str, at: datetime, now: Observations, closed: Observations
) -> int:
    """Returns how many users met an arm other than their own."""
    arm = ExposureRow.variant, ExposureRow.stage
    ended = func.sum(case((ExposureRow.closes_at <= at, 1), else_=0))
    crossed = func.sum(case((ExposureRow.crossed, 1), else_=0))
    query = select(*arm, func.count(), ended, crossed).where(
        ExposureRow.experiment_id == experiment_id
    )
    others = 0
    for variant, stage, units, over, elsewhere in session.execute(query.group_by(*arm)):
        now.units[variant, stage] = units
        if over:
            closed.units[variant, stage] = over
        others += elsewhere
    return others


def _add_sums(
    session: Session,
    experiment_id: str,
    spec: ExperimentSpec,
    readings: Sequence[Observations],
    whose: ColumnElement[bool],
) -> None:
    """One pass over the users' sums, which are stored in the order of their grouping; a database
    that had to sort them would take four times as long."""
    key = (UnitSum.metric, UnitSum.variant, UnitSum.stage)
    s = UnitSum.total
    n = UnitSum.count
    positive = func.sum(case((s > 0, 1.0), else_=0.0))
    sums = func.sum(s), func.sum(n), func.sum(s * s), func.sum(n * n), func.sum(s * n)
    query = (
        select(*key, positive, *sums)
        .where(UnitSum.experiment_id == experiment_id, whose)
        .group_by(*key)
    )
    for name, variant, stage, above, *found in session.execute(query):
        metric = spec.metric(name)
        if metric is not None:
            values = found
            if metric.kind == "proportion":
                values = [above, 0.0, above, 0.0, 0.0]
            for reading in readings:
                reading.sums[name][variant, stage] += Sums(0, *values)


def _count_all_exposed(reading: Observations, spec: ExperimentSpec) -> None:
    """An exposed user who did nothing has no sums, and counts as (0, 0)."""
    for metric in spec.metrics:
        if not metric.sketched:
            for arm, units in reading.units.items():
                reading.sums[metric.name][arm] += Sums(units)


def _add_sketches(
    session: Session, experiment_id: str, at: datetime, now: Observations, closed: Observations
) -> None:
    """Reads one row at a time, because a row may hold a hundred thousand cells."""
    columns = (
        SketchRow.metric,
        SketchRow.variant,
        SketchRow.stage,
        SketchRow.closes_at,
        SketchRow.tally,
    )
    query = (
        select(*columns)
        .where(SketchRow.experiment_id == experiment_id)
        .execution_options(yield_per=1)
    )
    for metric, variant, stage, closes_at, tally in session.execute(query):
        ended = closes_at is None or closes_at <= at
        for reading in (now, closed) if ended else (now,):
            reading.sketches[metric][variant, stage].add(tally)
