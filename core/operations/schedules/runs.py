"""A run of a schedule, from the moment it is due to its end.

Rule: every change of a run increases its ``turn``, and a process writes only while the turn has the
value with which it took up the run. Several processes may take up a run at once: one of them
changes it, the others do nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.alerts.outbox import Alert
from qdrant_rollouts.core.database import events, leases
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.schedule_rows import Schedule, ScheduleRun
from qdrant_rollouts.core.deployments import alias_lock
from qdrant_rollouts.core.errors import LeaseLost
from qdrant_rollouts.core.lifecycle import OPEN_RUNS, SUCCESSES, RunStatus, Status
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.core.services import Services

#: For each schedule: three years of nights.
_KEPT_RUNS = 1_000


@dataclass(frozen=True, slots=True)
class Run:
    """An open run as it was read, and its index and action. ``waits`` for its turn on the index."""

    id: int
    turn: int
    schedule_id: int
    alias: str
    action: str
    nominal_at: datetime
    actor: str
    waits: bool

    @property
    def name(self) -> str:
        return f"{self.action} of {self.alias} due {self.nominal_at:%Y-%m-%d %H:%M} UTC"


def load_run(services: Services, run_id: int) -> Run | None:
    """Returns the run, if it must still be taken up."""
    with services.sessions() as session:
        query = select(ScheduleRun, Schedule).join(Schedule).where(ScheduleRun.id == run_id)
        found = session.execute(query.where(*_where_unheld(services, session))).first()
    if found is None:
        return None
    return _run_of_row(*found)


def list_unheld_runs(services: Services) -> list[int]:
    """Returns open runs that must be taken up: due ones, and those whose holder has finished a turn
    or is gone."""
    with services.sessions() as session:
        query = select(ScheduleRun.id).where(*_where_unheld(services, session))
        return list(session.scalars(query.order_by(ScheduleRun.nominal_at)))


def _where_unheld(services: Services, session: Session) -> tuple[ColumnElement[bool], ...]:
    longest = timedelta(seconds=services.times.longest_lease)
    free = leases.free(ScheduleRun.lease_until, services.clock.now(session), longest)
    return ScheduleRun.status.in_(OPEN_RUNS), ScheduleRun.deployment_id.is_(None), free


def list_runs_to_end(
    services: Services, ended: Collection[Status]
) -> list[tuple[Run, Status, str]]:
    """Returns open runs whose deployment has come to a status in ``ended``, with that status and
    the deployment's message."""
    query = (
        select(ScheduleRun, Schedule, Deployment.status, Deployment.message)
        .join(Schedule)
        .join(Deployment, Deployment.id == ScheduleRun.deployment_id)
        .where(ScheduleRun.status == RunStatus.RUNNING, Deployment.status.in_(ended))
    )
    with services.sessions() as session:
        return [
            (_run_of_row(row, schedule), status, message)
            for row, schedule, status, message in session.execute(query)
        ]


def take_run(session: Session, run: Run, **values: Any) -> Run:
    """Sets the run to ``running``. Raises LeaseLost if another process has: then nothing of this
    transaction may be committed."""
    values |= {"turn": run.turn + 1, "status": RunStatus.RUNNING}
    if session.scalar(_update_held_run(run).values(values)) is None:
        raise LeaseLost(f"{run.name} was taken up by another process")
    return replace(run, turn=run.turn + 1)


def note_on_run(services: Services, run: Run, message: str) -> str:
    """Records why the run is still open."""
    with services.sessions.begin() as session:
        session.execute(_update_held_run(run).values(message=message))
    return f"{run.name}: {message}"


def end_run(
    services: Services,
    run: Run,
    status: RunStatus,
    message: str,
    result: dict[str, Any] | None = None,
) -> str:
    """Ends the run, and raises an alert if it failed. Returns a line, empty if another process has
    changed the run in the meantime."""
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        values = {"status": status, "message": message, "finished_at": now, "lease_until": None}
        if (
            session.scalar(
                _update_held_run(run).values(
                    **values, turn=run.turn + 1, state={}, result=result or {}
                )
            )
            is None
        ):
            return ""
        if status in SUCCESSES:
            heard = update(Schedule).where(Schedule.id == run.schedule_id)
            session.execute(heard.values(waiting_since=now, told_at=None))
            outbox.resolve_alerts(
                session,
                now,
                run.alias,
                [late_alert_name(run.action)],
                f"{run.name}: {message}",
                run.actor,
            )
        events.record_event(
            session,
            now,
            f"schedule.{status}",
            f"{run.name}: {message}",
            actor=run.actor,
            alias=run.alias,
        )
        if run.action == "rebuild":
            _end_left_alert(session, now, run, message)
        if status == RunStatus.FAILED:
            outbox.record_alert(session, now, _build_failure_alert(run, message))
    return f"{run.name}: {status}: {message}"


def _end_left_alert(session: Session, now: datetime, run: Run, message: str) -> None:
    """Ends the alert about a gate that could not tell, if this run has taken the place of the
    rebuild that it told of, and has nothing that waits itself."""
    if alias_lock.find_open_deployment(session, run.alias) is None:
        reason = f"{run.name}: {message}"
        outbox.resolve_alerts(session, now, run.alias, outbox.HELD, reason, run.actor)


def late_alert_name(action: str) -> str:
    """Returns the alert for an action whose runs have not succeeded for too long."""
    return f"schedule.{action}_late"


def _build_failure_alert(run: Run, message: str) -> Alert:
    look = f"correct that, then rollouts schedule run {shell_word(run.alias)} {run.action}"
    return Alert(
        run.alias,
        "schedule.failed",
        f"{run.name}: {message}",
        actor=run.actor,
        reason=message,
        next=look,
    )


def prune_runs(services: Services, keep: int = _KEPT_RUNS) -> int:
    """Deletes all ended runs except the newest ``keep`` of each schedule; returns how many."""
    newest_first = func.row_number().over(
        partition_by=ScheduleRun.schedule_id, order_by=ScheduleRun.nominal_at.desc()
    )
    ended = ScheduleRun.status.not_in(OPEN_RUNS)
    ranked = select(ScheduleRun.id, newest_first.label("rank")).where(ended).subquery()
    old = delete(ScheduleRun).where(
        ScheduleRun.id.in_(select(ranked.c.id).where(ranked.c.rank > keep))
    )
    with services.sessions.begin() as session:
        return len(session.scalars(old.returning(ScheduleRun.id)).all())


def _update_held_run(run: Run) -> ReturningUpdate[int]:
    mine = ScheduleRun.id == run.id, ScheduleRun.turn == run.turn, ScheduleRun.status.in_(OPEN_RUNS)
    return update(ScheduleRun).where(*mine).returning(ScheduleRun.id)


def _run_of_row(row: ScheduleRun, of: Schedule) -> Run:
    waits = (of.spec or {}).get("overlap") == "wait"
    return Run(row.id, row.turn, of.id, of.alias, of.action, row.nominal_at, row.actor, waits)
