"""What an experiment has seen so far, added up where it lies: memory depends on arms and metrics, not on users."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from core.experiment_rows import CountRow, ExposureRow, SketchRow, UnitSum
from core.experiment_spec import ExperimentSpec, MetricSpec
from core.experiments import Estimate, Metric, Stratum, Sums, Unclear
from core.experiments import moments as tallies
from core.tally import Tally

#: (variant, stage)
Arm = tuple[str, int]


@dataclass(slots=True)
class Reading:
    """By arm and stage: exposed users, and per metric their sums or sketches."""

    units: Counter[Arm] = field(default_factory=Counter)
    sums: dict[str, dict[Arm, Sums]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Sums)))
    sketches: dict[str, dict[Arm, Tally]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Tally)))

    def units_of(self, variant: str) -> int:
        return sum(units for (name, _), units in self.units.items() if name == variant)

    def strata(self, metric: MetricSpec, of: Metric, control: str, treatment: str) -> list[Stratum]:
        stages = sorted({stage for _, stage in self.units})
        return [
            Stratum(
                self.units[treatment, stage],
                self._estimate(metric, of, (control, stage)),
                self._estimate(metric, of, (treatment, stage)),
            )
            for stage in stages
        ]

    def conversions(self, metric: MetricSpec, variant: str) -> float:
        """Values that were reported: of a metric per search those above 0, by their sum."""
        if metric.sketched:
            return sum(tally.calls for (name, _), tally in self.sketches[metric.name].items() if name == variant)
        mine = [sums for (name, _), sums in self.sums[metric.name].items() if name == variant]
        return sum(sums.total if metric.per == "search" else sums.count for sums in mine)

    def _estimate(self, metric: MetricSpec, of: Metric, arm: Arm) -> Estimate:
        if not self.units[arm]:
            return Unclear("no_data")
        if metric.sketched:
            return tallies.quantile(self.sketches[metric.name][arm], metric.level, least_units=2)
        return of.estimate(self.sums[metric.name][arm])


@dataclass(frozen=True, slots=True)
class Evidence:
    """``now`` has everybody, ``closed`` those whose windows have ended."""

    now: Reading
    closed: Reading
    crossed: int
    counts: Sequence[CountRow]

    @property
    def orphans(self) -> int:
        """Observations of users never exposed."""
        return sum(row.count for row in self.counts if row.what == "refused: never exposed")


def read(session: Session, experiment_id: str, spec: ExperimentSpec, at: datetime) -> Evidence:
    now, closed = Reading(), Reading()
    crossed = 0
    for arm, ended, units, others in _exposures(session, experiment_id, at):
        crossed += others
        for reading in _readings(now, closed, ended=ended):
            reading.units[arm] += units
    _add_sums(session, experiment_id, spec, at, now, closed)
    _add_sketches(session, experiment_id, at, now, closed)
    return Evidence(now, closed, crossed, counted(session, experiment_id))


def counted(session: Session, experiment_id: str) -> Sequence[CountRow]:
    """What was seen and decides nothing."""
    return session.scalars(
        select(CountRow).where(CountRow.experiment_id == experiment_id).order_by(CountRow.what)
    ).all()


def _exposures(session: Session, experiment_id: str, at: datetime) -> Iterable[tuple[Arm, bool, int, int]]:
    ended = case((ExposureRow.closes_at <= at, 1), else_=0)
    crossed = func.sum(case((ExposureRow.crossed, 1), else_=0))
    query = select(ExposureRow.variant, ExposureRow.stage, ended, func.count(), crossed)
    query = query.where(ExposureRow.experiment_id == experiment_id).group_by(
        ExposureRow.variant, ExposureRow.stage, ended
    )
    for variant, stage, over, units, others in session.execute(query):
        yield (variant, stage), bool(over), units, others


def _add_sums(
    session: Session, experiment_id: str, spec: ExperimentSpec, at: datetime, now: Reading, closed: Reading
) -> None:
    """One pass over the users' sums. A user who was exposed and did nothing has none, and counts as (0, 0)."""
    ended, s, n = case((UnitSum.closes_at <= at, 1), else_=0), UnitSum.total, UnitSum.count
    positive = func.sum(case((s > 0, 1.0), else_=0.0))
    key = UnitSum.metric, UnitSum.variant, UnitSum.stage, ended
    sums = func.sum(s), func.sum(n), func.sum(s * s), func.sum(n * n), func.sum(s * n)
    query = select(*key, positive, *sums).where(UnitSum.experiment_id == experiment_id).group_by(*key)
    for name, variant, stage, over, above, *found in session.execute(query):
        metric = spec.metric(name)
        if metric is None:
            continue
        values = [above, 0.0, above, 0.0, 0.0] if metric.kind == "proportion" else found
        for reading in _readings(now, closed, ended=bool(over)):
            reading.sums[name][variant, stage] += Sums(0, *values)
    for reading in (now, closed):
        _count_all_exposed(reading, spec)


def _count_all_exposed(reading: Reading, spec: ExperimentSpec) -> None:
    for metric in spec.metrics:
        if not metric.sketched:
            for arm, units in reading.units.items():
                reading.sums[metric.name][arm] += Sums(units)


def _add_sketches(session: Session, experiment_id: str, at: datetime, now: Reading, closed: Reading) -> None:
    query = select(SketchRow).where(SketchRow.experiment_id == experiment_id).execution_options(yield_per=20)
    for row in session.scalars(query):
        tally, ended = Tally.from_json(row.tally), row.closes_at is None or row.closes_at <= at
        for reading in _readings(now, closed, ended=ended):
            reading.sketches[row.metric][row.variant, row.stage].merge(tally)


def _readings(now: Reading, closed: Reading, *, ended: bool) -> tuple[Reading, ...]:
    return (now, closed) if ended else (now,)
