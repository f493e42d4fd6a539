"""Looks at running experiments repeatedly, and carries out what a look decides.

Rule: a look is a row, and its decision is written in the same transaction. A look may happen twice
or stop half way: the second one finds that the look was taken. What a decision started outside is
found again by its actor.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.config.experiment_spec import ExperimentSpec
from qdrant_rollouts.core.database import events, leases
from qdrant_rollouts.core.database.alert_rows import ConditionRow
from qdrant_rollouts.core.database.experiment_rows import Experiment, LookRow
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.experiments import breakers
from qdrant_rollouts.core.experiments.analysis import Report, build_report
from qdrant_rollouts.core.experiments.commands import end_experiment, record_experiment_alert
from qdrant_rollouts.core.lifecycle import ExperimentEvent, ExperimentStatus
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.decision import Action

log = logging.getLogger(__name__)

#: Errors of one experiment that must not keep the others from being looked at: of servers, of the
#: database, and of data that no formula supports.
_CONTAINED_ERRORS = (AppError, DBAPIError, ArithmeticError, ValueError)
_UNSEEN_ALERT = "experiment.unseen"
ENDING_ACTIONS = (Action.ROLLBACK, Action.SHIP, Action.STOP_INCONCLUSIVE)
_STRATEGIES = {"canary": "canary", "switch": "blue_green"}
#: How long a refused deployment of a winner is tried again.
_SHIP_RETRY_TIME = timedelta(days=1)


def check_due_experiments(services: Services) -> list[str]:
    """Looks at every running experiment: always at its limits, and completely if its look is due.
    Also begins what should ship.

    Returns a line for each thing done. An experiment that cannot be looked at is left unchanged and
    tried again.
    """
    with services.sessions() as session:
        now = services.clock.now(session)
        running = list(
            session.scalars(select(Experiment).where(Experiment.status == ExperimentStatus.RUNNING))
        )
        shipping = list(session.scalars(_select_to_ship(now)))
        unseen = set(
            session.scalars(select(ConditionRow.alias).where(ConditionRow.what == _UNSEEN_ALERT))
        )
    lines = [_check_contained(services, row, now, row.route in unseen) for row in running]
    return [line for line in (*lines, *(_ship_winner(services, row) for row in shipping)) if line]


def _check_contained(services: Services, row: Experiment, now: datetime, unseen: bool) -> str:
    try:
        line = _check_experiment(services, row, now)
        if unseen:
            with services.sessions.begin() as session:
                outbox.resolve_alerts(
                    session,
                    services.clock.now(session),
                    row.route,
                    [_UNSEEN_ALERT],
                    "it was looked at again",
                )
    except _CONTAINED_ERRORS as error:
        log.warning("experiment %s could not be looked at", row.id, exc_info=error)
        return _record_failed_check(services, row, error)
    return line


def _check_experiment(services: Services, row: Experiment, now: datetime) -> str:
    why = breakers.why_breaker_tripped(services, row, now)
    if why:
        return _end_by_breaker(services, row.id, why)
    wait = timedelta(minutes=read_stored(ExperimentSpec, row.spec).look_minutes)
    waits = row.next_look_at is None or (
        row.next_look_at > now and leases.lasts(row.next_look_at, now, wait)
    )
    if waits:
        return ""
    return _take_look(services, row)


def _record_failed_check(services: Services, row: Experiment, error: Exception) -> str:
    words = f"could not be looked at: {_describe_error(error)}"
    act = (
        "see whether Qdrant and the database answer: rollouts doctor; it is looked at again every "
        "30 s"
    )
    try:
        with services.sessions.begin() as session:
            record_experiment_alert(
                session,
                services.clock.now(session),
                row,
                "unseen",
                words,
                reason=_describe_error(error),
                act=act,
            )
    except DBAPIError:
        words += "; this could not be recorded either"
    return f"experiment {row.id} {words}"


def _describe_error(error: Exception) -> str:
    """A driver's message may contain values of rows, or the database's address."""
    if isinstance(error, AppError):
        return str(error)
    return f"unexpected {type(error).__name__}, see the worker's log"


def _take_look(services: Services, seen: Experiment) -> str:
    """Analyses, and records the look unless another process has done so in the meantime."""
    report = build_report(services, seen)
    action = report["decision"]["action"]
    reason = report["decision"]["reason"]
    with services.sessions.begin() as session:
        row = session.get_one(Experiment, seen.id, with_for_update=True)
        if row.status != ExperimentStatus.RUNNING or row.looks != seen.looks:
            return ""
        _write_look(services, session, row, report)
        if action in ENDING_ACTIONS:
            end_experiment(
                services, session, row, ExperimentEvent.DECIDE, f"{action}: {reason}", events.SYSTEM
            )
        _record_decision_alert(session, services.clock.now(session), row, action, reason)
    return _announce_decision(services, row, action, reason)


def _write_look(services: Services, session: Session, row: Experiment, report: Report) -> None:
    row.looks = row.looks + 1
    row.decision = report["decision"]
    wait = timedelta(minutes=read_stored(ExperimentSpec, row.spec).look_minutes)
    row.next_look_at = services.clock.now(session) + wait
    at = datetime.fromisoformat(report["at"])
    session.add(LookRow(experiment_id=row.id, number=row.looks, at=at, report=report))


def _end_by_breaker(services: Services, experiment_id: str, why: str) -> str:
    with services.sessions.begin() as session:
        row = session.get_one(Experiment, experiment_id, with_for_update=True)
        if row.status != ExperimentStatus.RUNNING:
            return f"{row.id} {row.status}"
        row.decision = {
            "action": str(Action.ROLLBACK),
            "reason": why,
            "days_left": 0.0,
            "variant": None,
        }
        end_experiment(
            services,
            session,
            row,
            ExperimentEvent.DECIDE,
            f"{Action.ROLLBACK}: {why}",
            events.SYSTEM,
        )
        _record_decision_alert(session, services.clock.now(session), row, Action.ROLLBACK, why)
    return _announce_decision(services, row, Action.ROLLBACK, why)


def _record_decision_alert(
    session: Session, now: datetime, row: Experiment, action: str, reason: str
) -> None:
    """A decision that ends the experiment causes one alert, stored with its row. Invalid data of a
    running experiment cause an alert that lasts."""
    if action == Action.KEEP_RUNNING:
        outbox.resolve_alerts(session, now, row.route, ("experiment.invalid",), reason)
        return
    look = f"rollouts experiment report {row.id}"
    record_experiment_alert(
        session, now, row, action.lower(), f"{action}: {reason}", reason=reason, act=look
    )


def _announce_decision(services: Services, row: Experiment, action: str, reason: str) -> str:
    if row.status != ExperimentStatus.RUNNING:
        services.channel.announce(row.route)
    return f"experiment {row.id} ({row.name}): {action}: {reason}"


def _select_to_ship(now: datetime) -> Any:
    """Returns recent decisions that were not carried out; the JSON of the rows says whether there
    is something to ship."""
    return select(Experiment).where(
        Experiment.status == ExperimentStatus.DECIDED,
        Experiment.deployment_id.is_(None),
        Experiment.finished_at > now - _SHIP_RETRY_TIME,
    )


def _ship_winner(services: Services, row: Experiment) -> str:
    """Begins the deployment of the winning collection, once: one that was begun before a crash is
    recognised by its actor."""
    spec = read_stored(ExperimentSpec, row.spec)
    actor = f"experiment {row.id}"
    if row.decision.get("action") != Action.SHIP or spec.on_ship == "nothing" or row.alias is None:
        return ""
    winner = next(arm.collection for arm in spec.arms if arm.variant == row.decision["variant"])
    try:
        with services.sessions() as session:
            begun = session.scalars(select(Deployment.id).where(Deployment.actor == actor)).first()
        deployment = begun or commands.start_deployment(
            services,
            row.alias,
            actor=actor,
            collection=winner,
            strategy=_STRATEGIES[spec.on_ship],
            reason=f"experiment {row.name}: {row.decision['reason']}",
        )
        with services.sessions.begin() as session:
            session.get_one(Experiment, row.id).deployment_id = deployment
    except AppError as error:
        return _record_not_shipped(services, row, str(error))
    except DBAPIError as error:
        log.warning("experiment %s could not be shipped", row.id, exc_info=error)
        return f"experiment {row.id}: {Action.SHIP}, not yet begun: {_describe_error(error)}"
    return f"experiment {row.id}: {winner} is shipped by deployment {deployment}"


def _record_not_shipped(services: Services, row: Experiment, why: str) -> str:
    words = f"{Action.SHIP}, not yet begun: {why}"
    if row.message != words:
        with services.sessions.begin() as session:
            session.get_one(Experiment, row.id).message = words
            act = (
                "deploy it by hand, or wait: it is tried for a day; rollouts experiment report "
                f"{row.id}"
            )
            record_experiment_alert(
                session, services.clock.now(session), row, "not_shipped", words, reason=why, act=act
            )
    return f"experiment {row.id}: {words}"
