"""Audit events: what happened, filtered and newest first, a page at a time, or as it happens.

Rule: a page reads a bounded number of events, whatever it looks for. If it has not found enough of
them by then, ``next`` says where to go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.answers import deployments as deployment_answers
from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.database.names import match_name
from qdrant_rollouts.core.defaults import ROWS
from qdrant_rollouts.core.deployments.lookup import find_deployment
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso, read_time

#: How many events a page reads at most, if it looks for something that no index leads to.
SCANNED = 50_000
#: By how much a clock may have been set back: events in the order of their ids are not always in
#: that of their times.
_SET_BACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Only what is given narrows the list. ``event`` is a kind such as ``deployment.live``, or the
    first part of one: ``deployment``. ``actor`` and ``text`` are looked for anywhere, upper case
    like lower case; ``text`` in what happened and in the reason."""

    alias: str | None = None
    deployment_id: str | None = None
    event: str | None = None
    actor: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def scans(self) -> bool:
        """Whether events are looked through, because no index leads to those that are wanted."""
        narrow = self.alias or self.deployment_id
        return bool(self.event or self.actor or self.text) and not narrow

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.alias:
            found.append(EventRow.alias == self.alias)
        if self.deployment_id:
            found.append(EventRow.deployment_id == self.deployment_id)
        if self.event:
            found.append(match_name(EventRow.event, self.event))
        if self.actor:
            found.append(EventRow.actor.icontains(self.actor, autoescape=True))
        if self.text:
            found.append(
                or_(
                    EventRow.detail.icontains(self.text, autoescape=True),
                    EventRow.reason.icontains(self.text, autoescape=True),
                )
            )
        if self.since:
            found.append(EventRow.at >= self.since)
        if self.until:
            found.append(EventRow.at <= self.until)
        return found


def read_event_filter(services: Services, given: Mapping[str, str]) -> EventFilter:
    """Returns the filter that a person has written in texts; an empty one narrows nothing. Raises
    Malformed for a time that is none, Unknown or Refused for a deployment that is not there or
    several."""
    wanted = {name: value for name, value in given.items() if value}
    deployment = wanted.get("deployment")
    return EventFilter(
        alias=wanted.get("alias"),
        deployment_id=find_deployment(services, deployment) if deployment else None,
        event=wanted.get("event"),
        actor=wanted.get("actor"),
        text=wanted.get("text"),
        since=read_time("since", wanted["since"]) if "since" in wanted else None,
        until=read_time("until", wanted["until"]) if "until" in wanted else None,
    )


def list_audit_events(
    services: Services, wanted: EventFilter, limit: int = ROWS, before: int | None = None
) -> deployment_answers.EventPage:
    """Returns the events that are wanted, newest first; ``next`` is the ``before`` of the following
    page, None on the last. A page may have fewer than ``limit`` and still have a ``next``."""
    with services.sessions() as session:
        start, end = _find_bounds(session, wanted, before)
        floor = max(end, start - SCANNED) if wanted.scans else end
        query = select(EventRow).where(
            *wanted.conditions, EventRow.id < start, EventRow.id >= floor
        )
        rows = session.scalars(query.order_by(EventRow.id.desc()).limit(limit + 1)).all()
        following = None
        if len(rows) > limit:
            following = rows[limit - 1].id
        elif floor > end and _has_event(session, end, floor):
            following = floor
    return {"events": [_describe_listed_event(row) for row in rows[:limit]], "next": following}


def list_events_since(
    services: Services,
    after: int,
    alias: str | None = None,
    deployment_id: str | None = None,
    limit: int = 500,
) -> list[deployment_answers.ListedEvent]:
    """Returns what happened after the event ``after``, the oldest first."""
    wanted = EventFilter(alias=alias, deployment_id=deployment_id)
    query = select(EventRow).where(*wanted.conditions, EventRow.id > after)
    with services.sessions() as session:
        return [
            _describe_listed_event(row)
            for row in session.scalars(query.order_by(EventRow.id).limit(limit))
        ]


def find_newest_event(services: Services, last: int) -> tuple[int, int]:
    """Returns the id of the newest event, 0 if there is none, and how many of the ``last`` ids up
    to it exist: longer transactions may still fill in some."""
    with services.sessions() as session:
        newest = session.scalar(select(func.max(EventRow.id))) or 0
        there = select(func.count()).where(EventRow.id > newest - last)
        return newest, session.scalar(there) or 0


def _describe_listed_event(row: EventRow) -> deployment_answers.ListedEvent:
    return {
        "id": row.id,
        "alias": row.alias,
        "deployment_id": row.deployment_id,
        **describe_event(row),
    }


def describe_event(row: EventRow) -> deployment_answers.Event:
    return {
        "at": as_iso(row.at),
        "actor": row.actor,
        "event": row.event,
        "detail": row.detail,
        "reason": row.reason,
        "source": row.source,
    }


def _find_bounds(session: Session, wanted: EventFilter, before: int | None) -> tuple[int, int]:
    """Returns ids between which all wanted events are: below the first, from the second on."""
    newest = select(EventRow.id).order_by(EventRow.id.desc()).limit(1)
    if wanted.until is not None:
        newest = newest.where(EventRow.at <= wanted.until + _SET_BACK)
    start = (session.scalar(newest) or 0) + 1
    if before is not None:
        start = min(start, before)
    end = 1
    if wanted.since is not None:
        older = select(EventRow.id).where(EventRow.at < wanted.since - _SET_BACK)
        end = (session.scalar(older.order_by(EventRow.id.desc()).limit(1)) or 0) + 1
    return start, end


def _has_event(session: Session, end: int, floor: int) -> bool:
    older = select(EventRow.id).where(EventRow.id >= end, EventRow.id < floor)
    return session.scalar(older.limit(1)) is not None
