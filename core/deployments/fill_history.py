"""How fast versions were filled: samples of the progress of the steps that fill them.

Rule: a sample is written in the commit of a turn, under the turn's fence, and belongs to an
interval; the last one of an interval stays. So turns that come twice change nothing. The intervals
grow with the age of the filling, so even one of many days has few samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, delete, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.history_rows import FillHistoryRow
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_data import Progress, read_progress
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.lifecycle import Status
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import floor_time

KEPT = timedelta(days=90)
#: Up to which age of a filling its samples are so far apart.
_INTERVALS = (
    (timedelta(minutes=10), timedelta(seconds=10)),
    (timedelta(hours=4), timedelta(minutes=1)),
    (timedelta.max, timedelta(minutes=10)),
)

#: So many are read at most: those of the last fillings.
_MOST_SAMPLES = 10_000
#: Deployment, collection, attempt, time, records and rate.
Sample = Row[str, str, int, datetime, int, float | None]


@dataclass(frozen=True, slots=True)
class FillRate:
    """Between ``begun`` and ``ended`` so many ``records`` were written. The first sample of a
    filling has no beginning, but perhaps the ``rate`` that the step measured."""

    collection: str
    begun: datetime | None
    ended: datetime
    records: int
    rate: float | None


def sample_filling(session: Session, row: Deployment, step: StepRow | None, now: datetime) -> None:
    """Notes how far the filling is, in the transaction of its turn."""
    if step is None or step.started_at is None or row.status != Status.RUNNING:
        return
    traits = traits_of(step.name)
    progress = read_progress(step.state)
    if not traits.fills_green or traits.catches_up or progress is None:
        return
    records = _count_records(progress)
    if records is None:
        return
    interval = _choose_interval(now - step.started_at)
    session.merge(
        FillHistoryRow(
            deployment_id=row.id,
            at=floor_time(now, interval),
            alias=row.alias,
            collection=row.green,
            attempt=step.attempt,
            seen_at=now,
            records=records,
            rate=progress.rate,
        )
    )


def list_fill_rates(session: Session, alias: str, since: datetime) -> list[FillRate]:
    """Returns the rates between the samples of each filling of an index ``since``."""
    return _read_rates(session, FillHistoryRow.alias == alias, FillHistoryRow.at >= since)


def list_rates_of_run(session: Session, deployment_id: str) -> list[FillRate]:
    """Returns the same for one deployment, since its beginning."""
    return _read_rates(session, FillHistoryRow.deployment_id == deployment_id)


def _read_rates(session: Session, *which: ColumnElement[bool]) -> list[FillRate]:
    row = FillHistoryRow
    query = select(
        row.deployment_id, row.collection, row.attempt, row.seen_at, row.records, row.rate
    )
    query = query.where(*which).order_by(row.at.desc()).limit(_MOST_SAMPLES)
    fillings: dict[str, list[Sample]] = {}
    for sample in reversed(session.execute(query).all()):
        fillings.setdefault(sample.deployment_id, []).append(sample)
    # Where the intervals grow, the first longer one may begin before the last shorter ones.
    ordered = (sorted(samples, key=lambda one: one.seen_at) for samples in fillings.values())
    return [rate for samples in ordered for rate in measure_rates(samples)]


def measure_rates(samples: Sequence[Sample]) -> list[FillRate]:
    """Returns the rates of one filling. A filling that begins anew counts from its beginning, so
    no rate is negative. At the end nothing is written while the index is built: that is no part of
    the filling."""
    last = len(samples)
    while last > 1 and _count_between(samples[last - 2], samples[last - 1]) == 0:
        last -= 1
    found = []
    before = None
    for sample in samples[:last]:
        records = None
        if before is not None:
            records = _count_between(before, sample)
        if before is None or records is None:
            found.append(FillRate(sample.collection, None, sample.seen_at, 0, sample.rate))
        else:
            found.append(FillRate(sample.collection, before.seen_at, sample.seen_at, records, None))
        before = sample
    return found


def prune_samples(services: Services) -> int:
    """Deletes what is older than 90 days; returns how many rows."""
    with services.sessions.begin() as session:
        old = FillHistoryRow.at < services.clock.now(session) - KEPT
        statement = delete(FillHistoryRow).where(old).returning(FillHistoryRow.at)
        return len(session.execute(statement).all())


def _count_records(progress: Progress) -> int | None:
    """Returns the records, or points, that are written; None for a step that counts bytes."""
    if progress.records is not None:
        return progress.records
    if progress.unit == "points":
        return progress.done
    return None


def _choose_interval(age: timedelta) -> timedelta:
    return next(interval for limit, interval in _INTERVALS if age <= limit)


def _count_between(before: Sample, after: Sample) -> int | None:
    """Returns how many records came in between; None if the filling began anew."""
    if after.attempt != before.attempt or after.records < before.records:
        return None
    written: int = after.records - before.records
    return written
