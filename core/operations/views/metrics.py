"""The figures of ``/metrics``.

Rule: every figure is one query on the database and nothing else. So figures come fast while Qdrant
does not answer, and any process can provide them. A figure with aliases has at most ``MOST`` of
them and says how many it left out.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, get_args

import numpy as np
from sqlalchemy import ColumnElement, and_, case, func, not_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts.outbox import TRIGGERS
from qdrant_rollouts.core.collections.deletion.deletions import OPEN_STATUSES
from qdrant_rollouts.core.database.alert_rows import ConditionRow, DeliveryRow
from qdrant_rollouts.core.database.experiment_rows import Experiment
from qdrant_rollouts.core.database.models import (
    Deletion,
    Deployment,
    RouteRow,
    SearcherRow,
    ServiceClock,
    StepRow,
    TrafficRow,
    Version,
)
from qdrant_rollouts.core.database.schedule_rows import Schedule
from qdrant_rollouts.core.database.step_traits import has_trait
from qdrant_rollouts.core.database.worker_rows import WorkerRow
from qdrant_rollouts.core.deployments import places, workers
from qdrant_rollouts.core.gate.checks.finding import Verdict
from qdrant_rollouts.core.lifecycle import (
    FINAL,
    DeliveryStatus,
    ExperimentStatus,
    Status,
    StepStatus,
)
from qdrant_rollouts.core.operations.views import write_metrics
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.routing.route import UNROUTED
from qdrant_rollouts.core.routing.table import alive, list_split_routes
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

MOST = 1000
#: Durations are those of steps that ended in this period, at most this many, the latest.
WINDOW = timedelta(days=7)
STEPS = 2000
#: A sweep every 30 s carries out deletions.
OVERDUE = timedelta(minutes=2)
_HOUR = timedelta(hours=1)
_QUANTILES = (0.5, 0.95, 1.0)

#: The values of the figure's labels, and its number.
Sample = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """``take`` queries the database, given its clock. A ``counter`` never falls: it counts rows
    that are never removed."""

    help: str
    labels: tuple[str, ...]
    take: Callable[[Session, datetime], Iterable[Sample]]
    counter: bool = False


@dataclass(frozen=True, slots=True)
class MetricSamples:
    samples: list[Sample] = field(default_factory=list)
    left_out: int = 0


def read_metrics(services: Services) -> dict[str, MetricSamples]:
    """Returns every figure by its name, for one moment. Raises SQLAlchemy's error if the database
    does not answer."""
    with services.sessions() as session:
        now = services.clock.now(session)
        return {name: _limit_samples(figure.take(session, now)) for name, figure in METRICS.items()}


def sweep_age(session: Session, now: datetime) -> float:
    """Returns the seconds since the last sweep for due turns; infinite if there was none."""
    last = session.scalar(select(ServiceClock.last))
    if last is None:
        return math.inf
    return _seconds_since(last, now)


def _limit_samples(samples: Iterable[Sample]) -> MetricSamples:
    found = sorted(samples)
    return MetricSamples(found[:MOST], max(0, len(found) - MOST))


def _count_by_value(session: Session, column: Any, values: Iterable[str]) -> Iterator[Sample]:
    """Returns how many rows have each of ``values``, also for values without rows: a missing number
    says nothing."""
    found: dict[Any, int] = dict(
        session.execute(select(column, func.count()).group_by(column)).all()
    )
    for value in values:
        yield (str(value),), found.get(value, 0)


def _seconds_since(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())


def _sample_statuses(session: Session, now: datetime) -> Iterator[Sample]:
    kinds = (Deployment.kind, Deployment.strategy, Deployment.status)
    for *labels, count in session.execute(select(*kinds, func.count()).group_by(*kinds)):
        yield tuple(map(str, labels)), count


def _places(session: Session, now: datetime) -> Iterator[Sample]:
    yield ("limit",), places.limits(session).rebuilds
    yield ("taken",), len(places.list_taken(session))


def _queue(session: Session, now: datetime) -> Iterator[Sample]:
    yield (), places.count_waiting(session)


def _sample_outcomes(session: Session, now: datetime) -> Iterator[Sample]:
    """A person's abort leaves no failed step; of what went live, only ``promote --full`` leaves
    skipped ones, besides a step that the plan did not need. What moved no alias, by its plan, was
    not promoted."""
    passed_over = Deployment.steps.any(
        and_(StepRow.status == StepStatus.SKIPPED, not_(has_trait(lambda step: step.catches_up)))
    )
    outcome = case(
        (and_(Deployment.status == Status.LIVE, passed_over), "fast_promoted"),
        (Deployment.status == Status.LIVE, "promoted"),
        (Deployment.status == Status.COMPLETED, "completed"),
        (_has_step(StepStatus.FAILED), "failed"),
        else_="aborted",
    )
    ended = select(Deployment.kind, Deployment.strategy, outcome.label("outcome")).where(
        Deployment.status.in_(FINAL)
    )
    rows = ended.subquery()
    for *labels, count in session.execute(select(*rows.c, func.count()).group_by(*rows.c)):
        yield tuple(map(str, labels)), count


def _has_step(status: StepStatus) -> ColumnElement[bool]:
    return Deployment.steps.any(StepRow.status == status)


def _durations_by_step(session: Session, now: datetime) -> dict[str, list[float]]:
    query = select(StepRow.name, StepRow.started_at, StepRow.finished_at).order_by(
        StepRow.finished_at.desc()
    )
    lately = StepRow.status == StepStatus.DONE, StepRow.finished_at >= now - WINDOW
    found: dict[str, list[float]] = defaultdict(list)
    for name, started, finished in session.execute(query.where(*lately).limit(STEPS)):
        if started is not None and finished is not None:
            found[name].append(_seconds_since(started, finished))
    return found


def _sample_step_seconds(session: Session, now: datetime) -> Iterator[Sample]:
    for name, seconds in _durations_by_step(session, now).items():
        for quantile, value in zip(_QUANTILES, np.quantile(seconds, _QUANTILES), strict=True):
            yield (name, f"{quantile:g}"), float(value)


def _sample_live_ages(session: Session, now: datetime) -> Iterator[Sample]:
    for alias, finished in _last_success_times(session, "rollout").items():
        yield (alias,), _seconds_since(finished, now)


def _last_success_times(session: Session, kind: str) -> dict[str, datetime]:
    """Returns when the last run of this kind succeeded, by alias."""
    mine = Deployment.kind == kind, Deployment.status == Status.LIVE
    query = (
        select(Deployment.alias, func.max(Deployment.finished_at))
        .where(*mine)
        .group_by(Deployment.alias)
    )
    return {alias: finished for alias, finished in session.execute(query) if finished is not None}


def _sample_verdicts(session: Session, now: datetime) -> Iterator[Sample]:
    return _count_by_value(session, Version.facts["gate"]["verdict"].as_string(), get_args(Verdict))


def _sample_shares_set(session: Session, now: datetime) -> Iterator[Sample]:
    for alias, share in _shares_by_alias(session).items():
        yield (alias,), share


def _sample_shares_confirmed(session: Session, now: datetime) -> Iterator[Sample]:
    """It is known which processes serve the newest route, but not which share follows from that. So
    the figure is the whole share or absent."""
    searchers = _count_searchers(session, now)
    for alias, share in _shares_by_alias(session).items():
        serving, behind = searchers.get(alias, (0, 0))
        if serving and not behind:
            yield (alias,), share


def _sample_searchers(session: Session, now: datetime) -> Iterator[Sample]:
    for alias, (serving, behind) in _count_searchers(session, now).items():
        yield (alias, "serving"), serving
        yield (alias, "behind"), behind


def _shares_by_alias(session: Session) -> dict[str, int]:
    """Returns the basis points of searches that go to collections on trial, by alias; zero at
    rest."""
    return {
        route.alias: sum(end - start for arm in route.tried for start, end in arm.ranges)
        for route in list_split_routes(session)
    }


def _count_searchers(session: Session, now: datetime) -> dict[str, tuple[int, int]]:
    """Returns by alias how many living search processes serve the newest version of its route, and
    how many an older one."""
    newest = func.coalesce(RouteRow.version, 0)
    behind = func.sum(case((SearcherRow.version < newest, 1), else_=0))
    query = select(SearcherRow.alias, func.count(), behind).join(
        RouteRow, RouteRow.alias == SearcherRow.alias, isouter=True
    )
    rows = session.execute(query.where(alive(now)).group_by(SearcherRow.alias))
    return {alias: (known - late, late) for alias, known, late in rows}


def _sample_sweep_age(session: Session, now: datetime) -> Iterator[Sample]:
    yield (), sweep_age(session, now)


def _sample_deletions(session: Session, now: datetime) -> Iterator[Sample]:
    state = case(
        (Deletion.due_at <= now - OVERDUE, "overdue"),
        (Deletion.due_at <= now, "due"),
        else_="scheduled",
    ).label("state")
    rows = select(state).where(Deletion.status.in_(OPEN_STATUSES)).subquery()
    yield from _count_by_value(session, rows.c.state, ("scheduled", "due", "overdue"))


def _sample_backup_ages(session: Session, now: datetime) -> Iterator[Sample]:
    """Infinite for an index that serves and has no backup, so that a rule about old backups
    includes it."""
    made = _last_success_times(session, "backup")
    for alias in {*made, *_last_success_times(session, "rollout")}:
        yield (alias,), _seconds_since(made[alias], now) if alias in made else math.inf


def _sample_verified_ages(session: Session, now: datetime) -> Iterator[Sample]:
    verified = _last_success_times(session, "verification")
    for alias in {*verified, *_last_success_times(session, "backup")}:
        yield (alias,), _seconds_since(verified[alias], now) if alias in verified else math.inf


def _sample_success_ages(session: Session, now: datetime) -> Iterator[Sample]:
    for row in _list_active_schedules(session):
        yield (row.alias, row.action), _seconds_since(row.waiting_since, now)


def _sample_late_schedules(session: Session, now: datetime) -> Iterator[Sample]:
    for row in _list_active_schedules(session):
        yield (row.alias, row.action), float(row.told_at is not None)


def _list_active_schedules(session: Session) -> Iterable[Schedule]:
    return session.scalars(
        select(Schedule).where(Schedule.spec.is_not(None), Schedule.paused_by.is_(None))
    ).all()


def _offsets(session: Session, now: datetime) -> Iterator[Sample]:
    """Nothing is known about silent workers."""
    heard = WorkerRow.seen_at.between(now - workers.ANSWERS, now + workers.ANSWERS)
    for name, offset in session.execute(
        select(WorkerRow.name, WorkerRow.clock_offset).where(heard)
    ):
        yield (name,), offset


def _silences(session: Session, now: datetime) -> Iterator[Sample]:
    for name, seen_at in session.execute(select(WorkerRow.name, WorkerRow.seen_at)):
        yield (name,), _seconds_since(seen_at, now)


def _count_discarded(session: Session, now: datetime) -> Iterator[Sample]:
    for name, received, discarded in session.execute(
        select(WorkerRow.name, WorkerRow.received, WorkerRow.discarded).where(
            WorkerRow.kind != "beat"
        )
    ):
        yield (name, "taken"), received - discarded
        yield (name, "discarded"), discarded


def _room_of_queues(session: Session, now: datetime) -> Iterator[Sample]:
    """For each queue that any worker consumes."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    heard = WorkerRow.seen_at.between(now - workers.ANSWERS, now + workers.ANSWERS)
    for row in session.scalars(select(WorkerRow).where(heard)):
        for queue in row.queues:
            found[queue, "busy"] += min(len(row.busy), row.concurrency)
            found[queue, "free"] += max(0, row.concurrency - len(row.busy))
    yield from found.items()


def _count_unrouted(session: Session, now: datetime) -> Iterator[Sample]:
    query = select(TrafficRow).where(TrafficRow.at >= now - _HOUR, TrafficRow.variant == UNROUTED)
    found: dict[str, int] = defaultdict(int)
    for row in session.scalars(query):
        found[row.alias] += TrafficSketch.from_json(row.tally).calls
    for alias, calls in found.items():
        yield (alias,), calls


def _sample_firing_alerts(session: Session, now: datetime) -> Iterator[Sample]:
    # A severity that only a newer release knows counts as an error, as it does for channels.
    firing = session.scalars(select(ConditionRow.what)).all()
    severities = [
        TRIGGERS[what].severity if what in TRIGGERS else Severity.ERROR for what in firing
    ]
    for severity in Severity:
        yield (str(severity),), severities.count(severity)


def _sample_alert_ages(session: Session, now: datetime) -> Iterator[Sample]:
    for alias, what, since in session.execute(
        select(ConditionRow.alias, ConditionRow.what, ConditionRow.since)
    ):
        yield (alias, what), _seconds_since(since, now)


def _sample_deliveries(session: Session, now: datetime) -> Iterator[Sample]:
    kinds = (DeliveryRow.channel, DeliveryRow.status)
    query = (
        select(*kinds, func.count())
        .where(DeliveryRow.status != DeliveryStatus.SENT)
        .group_by(*kinds)
    )
    for channel, status, count in session.execute(query):
        yield (channel, status), count


def _sample_experiments(session: Session, now: datetime) -> Iterator[Sample]:
    return _count_by_value(session, Experiment.status, ExperimentStatus)


METRICS: Mapping[str, MetricFamily] = {
    "deployments": MetricFamily(
        "Deployments, backups and verifications, by their current status.",
        ("kind", "strategy", "status"),
        _sample_statuses,
    ),
    "deployments_ended": MetricFamily(
        "Those that have ended: promoted, fast_promoted (promote --full), completed (its plan "
        "moves no alias), "
        "failed (a step did), aborted (a person did).",
        ("kind", "strategy", "outcome"),
        _sample_outcomes,
        counter=True,
    ),
    "rebuild_places": MetricFamily(
        "How many deployments may build at once, and how many do.", ("state",), _places
    ),
    "rebuilds_waiting": MetricFamily("Deployments that wait for a place to build.", (), _queue),
    "catch_up_rounds": MetricFamily(
        "Rounds in which the running deployment of an index has brought writes to the new "
        "collection.",
        ("alias",),
        write_metrics.sample_rounds,
    ),
    "catch_up_points": MetricFamily(
        "Points that the last of these rounds made or deleted.",
        ("alias", "what"),
        write_metrics.sample_points,
    ),
    "catch_up_lag": MetricFamily(
        "How many points the new collection lacked in the last of these rounds; with the journal, "
        "how many writes were left after it.",
        ("alias",),
        write_metrics.sample_lags,
    ),
    "catch_up_fence_seconds": MetricFamily(
        "How long writers would be refused during the switch, by the last of these rounds; absent "
        "where they are not.",
        ("alias",),
        write_metrics.sample_fences,
    ),
    "fence_held_seconds": MetricFamily(
        "How long writers were refused during the last switch of an index; of the last 7 days.",
        ("alias",),
        write_metrics.sample_held,
    ),
    "step_duration_seconds": MetricFamily(
        f"How long steps took, waits included: of the last {WINDOW.days} days, at most the {STEPS} "
        "latest; 1 is the "
        "longest.",
        ("step", "quantile"),
        _sample_step_seconds,
    ),
    "last_live_age_seconds": MetricFamily(
        "Since the last version of an index went live by a deployment.",
        ("alias",),
        _sample_live_ages,
    ),
    "gate_verdicts": MetricFamily(
        "Versions by their last verdict of the gate; a retry replaces one.",
        ("verdict",),
        _sample_verdicts,
    ),
    "route_set_basis_points": MetricFamily(
        "Share of an index's searches that its route sends to collections on trial (10000 is all); "
        "none at rest.",
        ("alias",),
        _sample_shares_set,
    ),
    "route_confirmed_basis_points": MetricFamily(
        "The same share, once every search process that lives says that it serves it; absent until "
        "then.",
        ("alias",),
        _sample_shares_confirmed,
    ),
    "route_searchers": MetricFamily(
        "Search processes that reported recently: serving the newest version of the route, or "
        "behind it.",
        ("alias", "state"),
        _sample_searchers,
    ),
    "searches_unrouted": MetricFamily(
        "Searches of the last hour that went to the alias by its name, because the search process "
        "had not reached the "
        "database since it began.",
        ("alias",),
        _count_unrouted,
    ),
    "sweep_age_seconds": MetricFamily(
        "Since the last sweep for due turns (deployments.rouse); +Inf if there was none.",
        (),
        _sample_sweep_age,
    ),
    "worker_clock_offset_seconds": MetricFamily(
        f"How far a worker's clock is ahead of the database's; beyond {workers.CLOCK_OFF:g} s it "
        "causes an alert.",
        ("worker",),
        _offsets,
    ),
    "worker_seen_age_seconds": MetricFamily(
        f"Since a worker last reported; beyond {workers.ANSWERS.total_seconds():g} s it does not "
        "answer.",
        ("worker",),
        _silences,
    ),
    "worker_messages": MetricFamily(
        "Messages since a worker's start: taken, or discarded (too old, unknown, refused).",
        ("worker", "what"),
        _count_discarded,
    ),
    "queue_places": MetricFamily(
        "Children of the workers that take from a queue: busy, or free for one more.",
        ("queue", "state"),
        _room_of_queues,
    ),
    "deletions": MetricFamily(
        f"Collections to be deleted: scheduled, due, or overdue by {OVERDUE.total_seconds():g} s.",
        ("state",),
        _sample_deletions,
    ),
    "backup_age_seconds": MetricFamily(
        "Since the last backup of an index was made; +Inf for an index that serves and has none.",
        ("alias",),
        _sample_backup_ages,
    ),
    "backup_verified_age_seconds": MetricFamily(
        "Since a backup of an index was last restored and compared well; +Inf where none ever was.",
        ("alias",),
        _sample_verified_ages,
    ),
    "schedule_success_age_seconds": MetricFamily(
        "Since a schedule that is on last succeeded, or was switched on.",
        ("alias", "action"),
        _sample_success_ages,
    ),
    "schedule_late": MetricFamily(
        "1 while a schedule's success has not come for longer than success_within_hours.",
        ("alias", "action"),
        _sample_late_schedules,
    ),
    "alerts_firing": MetricFamily(
        "Active alerts about something that lasts.", ("severity",), _sample_firing_alerts
    ),
    "alert_lasting_seconds": MetricFamily(
        "Since when each of it lasts.", ("alias", "what"), _sample_alert_ages
    ),
    "alert_deliveries": MetricFamily(
        "Alerts that wait for their channel, or were given up after three days.",
        ("channel", "status"),
        _sample_deliveries,
    ),
    "experiments": MetricFamily(
        "Experiments, by their current status.", ("status",), _sample_experiments
    ),
}
