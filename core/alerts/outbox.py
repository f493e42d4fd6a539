"""The outbox of alerts. A notice is written in the transaction of the change that it reports.

Rule: every notice is a row before anyone hears of it. So no alert reports a change that did not
happen, and no change goes unreported. Something that lasts is one condition for each index and
kind: it is reported when it begins, every four hours while it lasts, and when it ends.
``core.alerts.deliveries`` sends the notices.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.alert_rows import ConditionRow, NoticeRow
from qdrant_rollouts.core.database.leases import SLACK
from qdrant_rollouts.core.database.stored_json import read_stored_dataclass
from qdrant_rollouts.core.ports import Notice
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.times import as_iso

REPEAT = timedelta(hours=4)
#: The alerts while a deployment waits for a person because nobody can tell: its gate, or a stage of
#: its canary. If the next run of its schedule takes its place, they last until that has judged.
HELD = ("deployment.inconclusive", "deployment.approval_needed")


@dataclass(frozen=True, slots=True)
class Trigger:
    severity: Severity
    lasts: bool = False


_INFO = Trigger(Severity.INFO)
_WARN = Trigger(Severity.WARN)
_ERROR = Trigger(Severity.ERROR)
_WHILE_WARN = Trigger(Severity.WARN, lasts=True)
_WHILE_ERROR = Trigger(Severity.ERROR, lasts=True)

#: For deployments, and for backups and verifications, which have their own names because they run
#: beside a deployment. A step that is done is an event only: it repeats what the page of the run
#: shows, several times in each run, and asks nothing of anybody. That a run begins and ends is an
#: alert, once each, because another person or a schedule may have started it.
_RUN_TRIGGERS: Mapping[str, Trigger] = {
    "created": _INFO,
    "completed": _INFO,
    "paused": _WHILE_WARN,
    "deadline_near": _WHILE_WARN,
    "no_progress": _WHILE_ERROR,
    "needs_operator": _WHILE_ERROR,
    "failed": _WARN,
    "aborted": _WARN,
    "rolled_back": _WARN,
}

#: Every alert, by name.
TRIGGERS: Mapping[str, Trigger] = {
    **{
        f"{run}.{what}": trigger
        for run in ("deployment", "backup", "verification")
        for what, trigger in _RUN_TRIGGERS.items()
    },
    "deployment.approval_needed": _WHILE_WARN,
    "deployment.inconclusive": _WHILE_WARN,
    "deployment.rollback_by_hand": _WARN,
    "deployment.writers_faster": _WARN,
    "schedule.failed": _ERROR,
    "schedule.rebuild_late": _WHILE_ERROR,
    "schedule.verify_late": _WHILE_ERROR,
    "schedule.backup_late": _WHILE_ERROR,
    "alias.moved_by_hand": _INFO,
    "deletion.scheduled": _INFO,
    "deletion.deleted": _INFO,
    "deletion.cancelled": _INFO,
    "deletion.in_use": _WARN,
    "deletion.no_final_backup": _WHILE_WARN,
    "experiment.started": _INFO,
    "experiment.stopped": _INFO,
    "experiment.ship": _INFO,
    "experiment.rollback": _WARN,
    "experiment.stop_inconclusive": _WARN,
    "experiment.invalid": _WHILE_WARN,
    "experiment.unseen": _WHILE_WARN,
    "experiment.not_shipped": _WARN,
    "worker.stopped": _ERROR,
    "worker.clock_off": _WHILE_WARN,
}


@dataclass(frozen=True, slots=True)
class Alert:
    """``text`` says what happened. ``value`` and ``bound`` are the measured value and its bound, if
    there are any. ``next`` is what a person can do now. ``cause`` tells two conditions of one kind
    apart, where the second may follow the first at once."""

    alias: str
    what: str
    text: str
    value: str = ""
    bound: str = ""
    actor: str = events.SYSTEM
    reason: str = ""
    next: str = "nothing to do"
    deployment_id: str | None = None
    cause: str = ""


def run_word(kind: str) -> str:
    """What a ``Deployment`` row of this kind is called, in code and in texts."""
    if kind == "rollout":
        return "deployment"
    return kind


def record_alert(session: Session, now: datetime, alert: Alert) -> None:
    """Records the alert in the transaction of ``session``.

    If the condition already lasts, nothing is sent now, but its next repetition has the latest
    text, and says how often it came. With another cause than before it is a new condition.
    """
    trigger = TRIGGERS[alert.what]
    if not trigger.lasts:
        _add_notice(session, now, _build_message(alert, trigger, now, now, "moment"))
        return
    message = _build_message(alert, trigger, now, now, "begun")
    row = _lock_condition(session, alert.alias, alert.what)
    if row is None:
        row = ConditionRow(
            alias=alert.alias, what=alert.what, since=now, repeat_at=now + REPEAT, message=message
        )
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:  # another process recorded it at the same moment
            return
        _add_notice(session, now, message)
        return
    before = row.message
    if alert.cause != before.get("cause", ""):
        row.since = now
        row.repeat_at = now + REPEAT
        row.message = message
        _add_notice(session, now, message)
        return
    row.message = {**message, "since": before["since"]}
    if alert.cause:
        times = before.get("times", 1) + 1
        told = f"{alert.text} ({times} times in a row since {row.since:%Y-%m-%d %H:%M} UTC)"
        row.message = {**row.message, "times": times, "text": told}


def amend_lasting(session: Session, alias: str, what: str, text: str, act: str) -> None:
    """Changes what the next repetition of a condition says; nothing if it does not last."""
    row = _lock_condition(session, alias, what)
    if row is not None:
        row.message = {**row.message, "text": text, "next": act}


def resolve_alerts(
    session: Session,
    now: datetime,
    alias: str,
    kinds: Iterable[str],
    reason: str,
    actor: str = events.SYSTEM,
) -> None:
    """Ends each of the conditions ``kinds`` that lasts for ``alias``."""
    query = select(ConditionRow).where(
        ConditionRow.alias == alias, ConditionRow.what.in_(list(kinds))
    )
    for row in session.scalars(query.with_for_update()).all():
        ended = {
            "state": "resolved",
            "reason": reason,
            "actor": actor,
            "at": as_iso(now),
            "next": "nothing to do",
        }
        session.delete(row)
        _add_notice(session, now, {**row.message, **ended})


def repeat_lasting(session: Session, now: datetime) -> int:
    """Repeats conditions whose last notice is four hours old; returns how many."""
    # the clock was set back
    come = or_(ConditionRow.repeat_at <= now, ConditionRow.repeat_at > now + REPEAT + SLACK)
    query = select(ConditionRow).where(come).with_for_update(skip_locked=True)
    rows = session.scalars(query).all()
    for row in rows:
        row.repeat_at = now + REPEAT
        _add_notice(session, now, {**row.message, "state": "lasting", "at": as_iso(now)})
    return len(rows)


def read_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a stored message with the keys of this release, whichever release has written it."""
    whole = {**_MESSAGE_DEFAULTS, **message}
    return {one.name: whole[one.name] for one in fields(Notice) if one.name in whole}


def read_notice(message: Mapping[str, Any]) -> Notice:
    """Returns a stored message as channels get it."""
    times = {name: datetime.fromisoformat(message[name]) for name in ("at", "since")}
    return read_stored_dataclass(
        Notice, {**read_message(message), **times, "severity": _read_severity(message["severity"])}
    )


#: Values of keys that older releases did not write.
_MESSAGE_DEFAULTS = {
    **dict.fromkeys(("text", "value", "bound", "actor", "reason", "next"), ""),
    "state": "moment",
    "deployment_id": None,
}


def _read_severity(text: str) -> Severity:
    """An unknown severity goes to every channel."""
    if text in set(Severity):
        return Severity(text)
    return Severity.ERROR


def _lock_condition(session: Session, alias: str, what: str) -> ConditionRow | None:
    query = select(ConditionRow).where(ConditionRow.alias == alias, ConditionRow.what == what)
    return session.scalars(query.with_for_update()).one_or_none()


def _build_message(
    alert: Alert, trigger: Trigger, now: datetime, since: datetime, state: str
) -> dict[str, Any]:
    stated = asdict(alert)
    index = stated.pop("alias")
    return {
        **stated,
        "index": index,
        "severity": trigger.severity,
        "state": state,
        "at": as_iso(now),
        "since": as_iso(since),
    }


def _add_notice(session: Session, now: datetime, message: dict[str, Any]) -> None:
    id = secrets.token_hex(8)
    session.add(
        NoticeRow(
            id=id,
            alias=message["index"],
            what=message["what"],
            severity=message["severity"],
            at=now,
            message={**message, "id": id},
        )
    )
