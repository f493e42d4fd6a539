"""The commands for schedules. A command refuses before it changes anything."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.config.index_file import validate_as
from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.deployments.commands import InTransaction, do_nothing
from qdrant_rollouts.core.errors import Refused, Unknown
from qdrant_rollouts.core.lifecycle import OPEN_RUNS
from qdrant_rollouts.core.operations.choices import check_choice
from qdrant_rollouts.core.operations.schedules import declared, sweep
from qdrant_rollouts.core.operations.schedules.actions import ACTIONS
from qdrant_rollouts.core.sanitize.quoting import shorten_text
from qdrant_rollouts.core.services import Services


def run_schedule(
    services: Services,
    alias: str,
    action: str,
    *,
    actor: str,
    reason: str = "",
    along: InTransaction = do_nothing,
) -> int:
    """The next sweep runs the action, whatever the time, even if the schedule is paused. Returns
    the run's id."""
    with _hold_schedule(services, alias, action) as (session, row, now):
        open_ = ScheduleRun.schedule_id == row.id, ScheduleRun.status.in_(OPEN_RUNS)
        before = session.scalars(select(ScheduleRun).where(*open_)).one_or_none()
        if before is not None:
            if before.deployment_id:
                what = f"deployment {before.deployment_id}"
            else:
                what = f"since {before.created_at:%H:%M} UTC"
            raise Refused(f"{action} of {alias} is {before.status} already ({what}); wait for it")
        made = ScheduleRun(
            schedule_id=row.id, nominal_at=now, actor=actor, created_at=now, message=reason
        )
        session.add(made)
        session.flush()
        _record_schedule_event(session, now, row, "asked_for", row.action, actor, reason)
        along(session, str(made.id))
        return made.id


def pause_schedule(
    services: Services, alias: str, action: str, *, actor: str, reason: str = ""
) -> None:
    """Times pass without a run until the schedule is resumed; an open run continues. Pausing a
    paused schedule changes nothing."""
    with _hold_schedule(services, alias, action) as (session, row, now):
        changes = row.paused_by is None
        if changes:
            row.paused_by = actor
            row.reason = reason
            sweep.withdraw_late_alert(session, row, now, f"paused by {actor}", actor)
        _record_schedule_event(
            session, now, row, "paused" if changes else "unchanged", row.action, actor, reason
        )


def resume_schedule(
    services: Services, alias: str, action: str, *, actor: str, reason: str = ""
) -> None:
    """Continues with the next time; times that passed during the pause are not made up for."""
    with _hold_schedule(services, alias, action) as (session, row, now):
        changes = row.paused_by is not None
        if changes:
            row.paused_by = None
            row.reason = ""
            declared.start_waiting(row, now)
        _record_schedule_event(
            session, now, row, "resumed" if changes else "unchanged", row.action, actor, reason
        )


def change_schedule(
    services: Services,
    alias: str,
    action: str,
    wanted: Mapping[str, Any],
    *,
    actor: str,
    reason: str = "",
) -> None:
    """Merges ``wanted`` (keys of ``ScheduleSpec``) into the current spec. The change holds until
    the index file says something new."""
    with _hold_schedule(services, alias, action, new="cron" in wanted) as (session, row, now):
        base = declared.normalize_spec(row.spec or row.declared, action) or {}
        kind = declared.find_spec_type(action)
        spec = validate_as(kind, {**base, **wanted}, f"{action} of {alias}").model_dump(mode="json")
        changes = spec != declared.normalize_spec(row.spec, action)
        if changes:
            sweep.set_spec(session, row, spec, now)
        words = f"{action}: {declared.describe_times(spec)}"
        _record_schedule_event(
            session, now, row, "changed" if changes else "unchanged", words, actor, reason
        )


def list_actions(services: Services, alias: str) -> list[str]:
    """Returns the actions for which ``alias`` has a schedule. Raises Refused if it has none."""
    sweep.take_over_declared(services)
    with services.sessions() as session:
        found = list(
            session.scalars(
                select(Schedule.action).where(Schedule.alias == alias).order_by(Schedule.action)
            )
        )
        if not found:
            raise Unknown(_describe_unknown(session, alias))
    return found


@contextmanager
def _hold_schedule(
    services: Services, alias: str, action: str, *, new: bool = False
) -> Iterator[tuple[Session, Schedule, datetime]]:
    check_choice("action", action, ACTIONS)
    sweep.take_over_declared(services)
    if new and alias not in services.indexes():
        raise Refused(
            f"index {shorten_text(alias)} is not declared in the index file; declare it, so that "
            "it can be built"
        )
    with services.sessions.begin() as session:
        row = sweep.lock_schedule(session, alias, action)
        now = services.clock.now(session)
        if row is None and new:
            row = Schedule(alias=alias, action=action, waiting_since=now)
            session.add(row)
        if row is None:
            raise Unknown(_describe_unknown(session, alias, action))
        yield session, row, now


def _describe_unknown(session: Session, alias: str, action: str = "") -> str:
    known = [
        f"{row.alias} {row.action}"
        for row in session.scalars(select(Schedule).order_by(Schedule.id))
    ]
    alias = shorten_text(alias)
    what = f"{alias} has no schedule" + (f" of {action}" if action else "")
    hint = f"give index {alias} a cron line under `{action or 'rebuild'}` in the index file"
    return f"{what}; known: {', '.join(known) or 'none'}. To have one, {hint}"


def _record_schedule_event(
    session: Session, now: datetime, row: Schedule, event: str, detail: str, actor: str, reason: str
) -> None:
    """A command that changed nothing is recorded too."""
    events.record_event(
        session, now, f"schedule.{event}", detail, actor=actor, reason=reason, alias=row.alias
    )
