"""The alerts that people were sent, and those that last: filtered, newest first, a page at a time.

Rule: what the filters read is bounded, because notices are kept for 90 days and of what lasts there
is one row for each index and kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, func, select

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.answers import alerts as alert_answers
from qdrant_rollouts.core.database.alert_rows import ConditionRow, DeliveryRow, NoticeRow
from qdrant_rollouts.core.database.names import match_name
from qdrant_rollouts.core.lifecycle import DeliveryStatus
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Only what is given narrows the list. ``what`` is the name of an alert such as
    ``deployment.failed``, or the first part of one: ``deployment``. ``since``: sent, or begun,
    then or later."""

    alias: str | None = None
    severity: Severity | None = None
    what: str | None = None
    since: datetime | None = None

    @property
    def of_notices(self) -> list[ColumnElement[bool]]:
        found = self._of_names(NoticeRow.alias, NoticeRow.what)
        if self.severity:
            found.append(NoticeRow.severity == str(self.severity))
        if self.since:
            found.append(NoticeRow.at >= self.since)
        return found

    @property
    def of_conditions(self) -> list[ColumnElement[bool]]:
        found = self._of_names(ConditionRow.alias, ConditionRow.what)
        if self.since:
            found.append(ConditionRow.since >= self.since)
        return found

    def _of_names(self, alias: Any, what: Any) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.alias:
            found.append(alias == self.alias)
        if self.what:
            found.append(match_name(what, self.what))
        return found


#: All of them.
EVERY = AlertFilter()


def list_alerts(
    services: Services, limit: int, alias: str | None = None
) -> list[alert_answers.Alert]:
    """Returns notices, newest first, each with the state and the errors of every channel."""
    return list_alert_page(services, AlertFilter(alias), limit)["alerts"]


def list_alert_page(
    services: Services, wanted: AlertFilter, limit: int, before: int | None = None
) -> alert_answers.Alerts:
    """Returns the notices that are wanted, newest first; ``next`` is the ``before`` of the
    following page, None on the last."""
    query = select(NoticeRow).where(*wanted.of_notices).order_by(NoticeRow.number.desc())
    if before is not None:
        query = query.where(NoticeRow.number < before)
    with services.sessions() as session:
        rows = session.scalars(query.limit(limit + 1)).all()
        shown = rows[:limit]
        numbers = [row.number for row in shown]
        sent = session.scalars(select(DeliveryRow).where(DeliveryRow.number.in_(numbers))).all()
    following = shown[-1].number if len(rows) > limit else None
    return {"alerts": [_describe_notice(row, sent) for row in shown], "next": following}


def list_lasting(services: Services, wanted: AlertFilter = EVERY) -> list[Mapping[str, Any]]:
    """Returns what lasts, the oldest first, with ``since``."""
    query = select(ConditionRow).where(*wanted.of_conditions).order_by(ConditionRow.since)
    with services.sessions() as session:
        rows = session.scalars(query).all()
    lasting = [{**outbox.read_message(row.message), "since": as_iso(row.since)} for row in rows]
    return [one for one in lasting if wanted.severity in (None, one["severity"])]


def count_deliveries(services: Services) -> dict[str, dict[DeliveryStatus, int]]:
    """Returns how many deliveries of each channel are in each status."""
    query = select(DeliveryRow.channel, DeliveryRow.status, func.count()).group_by(
        DeliveryRow.channel, DeliveryRow.status
    )
    found: dict[str, dict[DeliveryStatus, int]] = {}
    with services.sessions() as session:
        for channel, status, count in session.execute(query):
            found.setdefault(channel, {})[status] = count
    return found


def _describe_notice(row: NoticeRow, sent: Sequence[DeliveryRow]) -> alert_answers.Alert:
    told = {
        **outbox.read_message(row.message),
        "deliveries": [_describe_delivery(one) for one in sent if one.number == row.number],
    }
    return cast("alert_answers.Alert", told)


def _describe_delivery(row: DeliveryRow) -> alert_answers.Delivery:
    return {
        "channel": row.channel,
        "status": row.status,
        "tries": row.tries,
        "error": row.error,
        "sent_at": as_iso(row.sent_at),
        "due_at": as_iso(row.due_at) if row.status == DeliveryStatus.WAITING else None,
    }
