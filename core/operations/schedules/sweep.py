"""The sweep: reads the index file, finds times that have come, runs that have ended, and schedules
that have not succeeded for too long.

Rule: beat decides nothing. A time that comes is a row, written in the transaction that moves its
schedule to the next time. So any number of sweeps make one run of it, and the same look finds times
that passed while no process swept.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.config import cron
from qdrant_rollouts.core.config.index_file import ScheduleSpec
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.schedule_rows import ACTOR, Schedule, ScheduleRun
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.errors import LeaseLost, Refused
from qdrant_rollouts.core.lifecycle import OPEN_RUNS, RunStatus
from qdrant_rollouts.core.operations.schedules import declared, deployments, replacing, runs
from qdrant_rollouts.core.operations.schedules.actions import ACTIONS
from qdrant_rollouts.core.operations.schedules.declared import (
    begins,
    describe_times,
    has_same_times,
    normalize_spec,
    start_waiting,
)
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.sanitize.quoting import add_reason
from qdrant_rollouts.core.services import Services

#: Times are searched from here on first: a line that names many has a near one.
_NEAR_TIME = timedelta(days=2)
_INSTANT = timedelta(microseconds=1)
#: Times that one sweep handles, each in a transaction of its own.
_MOST_FIRED = 200


@dataclass(frozen=True, slots=True)
class SweepResult:
    """``lines`` say what was done; ``open`` are the runs that must be taken up, see
    ``take_up_run``."""

    lines: list[str]
    open: list[int]


def sweep_schedules(services: Services) -> SweepResult:
    """Does everything except the work itself; short, and safe to repeat."""
    lines = [
        _take_over_contained(services),
        *deployments.end_finished_runs(services),
        *_fire_due_schedules(services),
        *_alert_overdue_schedules(services),
    ]
    return SweepResult([line for line in lines if line], runs.list_unheld_runs(services))


def take_up_run(services: Services, run_id: int) -> str:
    """Does a run's work, or a piece of it, in any process that can load the index's model."""
    run = runs.load_run(services, run_id)
    if run is None:
        return f"run {run_id} needs no more work"
    try:
        return ACTIONS[run.action](services, run) or f"{run.name} was ended by another process"
    except LeaseLost as lost:
        return str(lost)


def _take_over_contained(services: Services) -> str:
    """A file that cannot be read stops no known time; the time's run reports the error."""
    try:
        take_over_declared(services)
    except Refused as refused:
        return str(refused)
    return ""


def take_over_declared(services: Services) -> None:
    """Applies what the index file newly says. Until then a person's changes hold.

    A file that declares nothing at all withdraws nothing: this process may not see the right file.
    """
    with services.sessions() as session:
        known = {(row.alias, row.action): row.declared for row in session.scalars(select(Schedule))}
    for (alias, action), wanted in declared.find_changed_specs(services.indexes(), known).items():
        with suppress(IntegrityError):  # another process did it at the same moment
            _take_over_spec(services, alias, action, wanted)


def _take_over_spec(
    services: Services, alias: str, action: str, wanted: dict[str, object] | None
) -> None:
    with services.sessions.begin() as session:
        row = lock_schedule(session, alias, action)
        now = services.clock.now(session)
        if row is None:
            row = Schedule(alias=alias, action=action, waiting_since=now)
            session.add(row)
        elif normalize_spec(row.declared, action) == wanted:
            return
        row.declared = wanted
        set_spec(session, row, wanted, now)
        words = f"{action}: {describe_times(wanted)}, says the index file"
        events.record_event(session, now, "schedule.declared", words, alias=alias)


def lock_schedule(session: Session, alias: str, action: str) -> Schedule | None:
    query = select(Schedule).where(Schedule.alias == alias, Schedule.action == action)
    return session.scalars(query.with_for_update()).one_or_none()


def set_spec(
    session: Session, row: Schedule, spec: dict[str, object] | None, now: datetime
) -> None:
    """Puts ``spec`` into force; if its times differ, earlier times are not made up for."""
    withdraw_late_alert(session, row, now, "the schedule has changed")
    same = has_same_times(row.spec, spec)
    row.spec = spec
    if not same:
        start_waiting(row, now)


def withdraw_late_alert(
    session: Session, row: Schedule, now: datetime, reason: str, actor: str = events.SYSTEM
) -> None:
    """Ends the alert about missing successes; the next sweep raises it again if it still
    applies."""
    if row.told_at is not None:
        row.told_at = None
        outbox.resolve_alerts(
            session, now, row.alias, [runs.late_alert_name(row.action)], reason, actor
        )


def _fire_due_schedules(services: Services) -> list[str]:
    """Writes the runs of the times that came first; the next sweep continues with the rest."""
    with services.sessions() as session:
        now = services.clock.now(session)
        seen = session.scalars(_select_running().where(Schedule.next_at <= now)).all()
    due = sorted((row for row in seen if _begins(row) <= now), key=_begins)
    return [_fire_schedule(services, row, now) for row in due[:_MOST_FIRED]]


def _begins(row: Schedule) -> datetime:
    start = declared.start_of(row)
    assert start is not None
    return start


def _select_running() -> Select[Schedule]:
    return select(Schedule).where(Schedule.spec.is_not(None), Schedule.paused_by.is_(None))


def _fire_schedule(services: Services, seen: Schedule, now: datetime) -> str:
    """Records the newest time that has come; it stands for earlier ones that no sweep saw."""
    assert seen.next_at is not None
    spec = read_stored(declared.find_spec_type(seen.action), seen.spec)
    newest = _newest_time(spec, seen.alias, seen.next_at, now)
    following = cron.next_time(spec.cron, spec.zone, newest)
    with services.sessions.begin() as session:
        row = lock_schedule(session, seen.alias, seen.action)
        if row is None or (row.next_at, row.spec, row.paused_by) != (seen.next_at, seen.spec, None):
            return ""
        row.next_at = following
        return _write_run(services, session, row, spec, newest, since=seen.next_at, now=now)


def _newest_time(spec: ScheduleSpec, alias: str, first: datetime, now: datetime) -> datetime:
    """Returns the last time that begins up to ``now``; ``first`` is one."""
    for start in (max(first, now - _NEAR_TIME), first):
        newest = None
        for moment in cron.nominal_times(
            cron.parse_cron(spec.cron), cron.parse_zone(spec.zone), start - _INSTANT
        ):
            if moment > now:
                break
            if begins(spec, alias, moment) <= now:
                newest = moment
        if newest is not None:
            return newest
    return first


def _write_run(
    services: Services,
    session: Session,
    row: Schedule,
    spec: ScheduleSpec,
    newest: datetime,
    *,
    since: datetime,
    now: datetime,
) -> str:
    known = ScheduleRun.schedule_id == row.id, ScheduleRun.nominal_at == newest
    if session.scalar(select(ScheduleRun.id).where(*known)) is not None:
        return ""
    skipped = _why_missed(spec, begins(spec, row.alias, newest), now) or _why_overlapping(
        services, session, now, row, newest, spec
    )
    run = ScheduleRun(schedule_id=row.id, nominal_at=newest, actor=ACTOR, created_at=now)
    run.message = skipped or (
        f"also for the times since {since:%Y-%m-%d %H:%M} UTC" if newest > since else ""
    )
    if skipped:
        run.status = RunStatus.SKIPPED
        run.finished_at = now
    session.add(run)
    what = f"{row.action} due {newest:%Y-%m-%d %H:%M} UTC"
    event = f"schedule.{RunStatus.SKIPPED if skipped else RunStatus.DUE}"
    events.record_event(
        session, now, event, f"{what}: {run.message}".removesuffix(": "), alias=row.alias
    )
    return add_reason(f"{row.alias}: {what}", run.message)


def _why_missed(spec: ScheduleSpec, start: datetime, now: datetime) -> str:
    late = (now - start).total_seconds() / 60
    if spec.misfire == "once" or late <= spec.late_after_minutes:
        return ""
    return f"{late:.0f} minutes late, {spec.late_after_minutes:g} are allowed (misfire: skip)"


def _why_overlapping(
    services: Services,
    session: Session,
    now: datetime,
    row: Schedule,
    newest: datetime,
    spec: ScheduleSpec,
) -> str:
    """Returns which run has not ended; empty if there is none, or if this one takes its place."""
    open_ = ScheduleRun.schedule_id == row.id, ScheduleRun.status.in_(OPEN_RUNS)
    before = session.scalars(select(ScheduleRun).where(*open_)).one_or_none()
    if before is None:
        return ""
    return replacing.replace_paused(services, session, now, before, newest, spec)


def _alert_overdue_schedules(services: Services) -> list[str]:
    with services.sessions() as session:
        now = services.clock.now(session)
        rows = session.scalars(_select_running().where(Schedule.told_at.is_(None))).all()
    late = [row for row in rows if _is_late(row, now)]
    return [_record_overdue(services, row) for row in late]


def _is_late(row: Schedule, now: datetime) -> bool:
    hours = read_stored(ScheduleSpec, row.spec).success_within_hours
    return hours is not None and now - row.waiting_since > timedelta(hours=hours)


def _record_overdue(services: Services, seen: Schedule) -> str:
    """The alert lasts until the next success."""
    with services.sessions.begin() as session:
        row = lock_schedule(session, seen.alias, seen.action)
        now = services.clock.now(session)
        if (
            row is None
            or row.told_at is not None
            or row.paused_by
            or row.spec != seen.spec
            or not _is_late(row, now)
        ):
            return ""
        row.told_at = now
        last = session.scalars(
            select(ScheduleRun)
            .where(ScheduleRun.schedule_id == row.id)
            .order_by(ScheduleRun.nominal_at.desc())
            .limit(1)
        ).first()
        text = _describe_overdue(row, last)
        events.record_event(session, now, "schedule.overdue", text, alias=row.alias)
        outbox.record_alert(session, now, _build_overdue_alert(row, now, text))
    return text


def _build_overdue_alert(row: Schedule, now: datetime, text: str) -> Alert:
    waited = (now - row.waiting_since).total_seconds() / 3600
    return Alert(
        row.alias,
        runs.late_alert_name(row.action),
        text,
        value=f"{waited:.4g} hours without a success",
        bound=f"{read_stored(ScheduleSpec, row.spec).success_within_hours:g} hours",
        next=f"correct that, then rollouts schedule run {shell_word(row.alias)} {row.action}",
    )


def _describe_overdue(row: Schedule, last: ScheduleRun | None) -> str:
    hours = read_stored(ScheduleSpec, row.spec).success_within_hours
    found = (
        f"the last run, due {last.nominal_at:%Y-%m-%d %H:%M} UTC, is {last.status}: {last.message}"
        if last
        else "no run"
    )
    return (
        f"no scheduled {row.action} of {row.alias} has succeeded since "
        f"{row.waiting_since:%Y-%m-%d %H:%M} UTC, "
        f"{hours:g} hours are allowed; {found}"
    )
