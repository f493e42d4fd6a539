"""Delivers notices to their channels.

Rule: a delivery is claimed under a lease, sent, and marked. If the process dies in between, the
lease expires and the notice is sent again under the same id. If a channel does not answer, all its
deliveries wait, longer each time. It delays neither other channels nor deployments. The notices of
one index and kind are sent in order.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from qdrant_rollouts.core.alerts import outbox
from qdrant_rollouts.core.database import events, leases
from qdrant_rollouts.core.database.alert_rows import DeliveryRow, NoticeRow
from qdrant_rollouts.core.errors import AppError, Unknown
from qdrant_rollouts.core.lifecycle import DeliveryEvent, DeliveryStatus, next_delivery_status
from qdrant_rollouts.core.ports import AlertChannel, Notice
from qdrant_rollouts.core.ports.messages import Severity
from qdrant_rollouts.core.sanitize.redaction import redact
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

#: Longer than a channel may take to send.
_LEASE = timedelta(seconds=60)
_FIRST_WAIT = 10.0
_LONGEST_WAIT = 1800.0
#: How long nothing else is tried on a channel that has just failed.
_CHANNEL_WAIT = 60.0
#: A notice that could not be sent for this long is given up; the list shows it as such.
_GIVE_UP_AFTER = timedelta(days=3)
_PRUNE_AFTER = timedelta(days=90)
_SWEEP_LIMIT = 500
#: After this many seconds a sweep leaves the rest to the next one.
_SWEEP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class _Claim:
    number: int
    channel: str
    turn: int
    tries: int
    notice: Notice


def deliver_due(services: Services) -> list[str]:
    """Sends what is due to every channel of the index file; returns a line for each attempt.

    Raises Refused if the index file cannot be read; the notices then wait.
    """
    channels = services.alerts()
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        outbox.repeat_lasting(session, now)
        _queue_deliveries(session, now, channels)
        _prune_notices(session, now)
    ends = time.monotonic() + _SWEEP_SECONDS
    return [
        line
        for name in channels
        for line in _deliver_on_channel(services, name, channels[name], ends)
    ]


def try_channels(
    services: Services, name: str | None, *, actor: str, reason: str = ""
) -> dict[str, str]:
    """Sends a test notice to one channel, or to all; returns the errors by channel, empty if there
    are none.

    Raises Unknown for a channel that is not declared.
    """
    channels = services.alerts()
    if name is not None and name not in channels:
        raise Unknown(
            f"channel {name} is not declared in the index file; declared: "
            f"{', '.join(sorted(channels))}"
        )
    chosen = [name] if name is not None else list(channels)
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        events.record_event(
            session, now, "alert.tested", ", ".join(chosen), actor=actor, reason=reason
        )
        notice = _build_test_notice(now, actor, reason)
    return {chosen_name: _send_notice(channels[chosen_name], notice) for chosen_name in chosen}


def _build_test_notice(now: datetime, actor: str, reason: str) -> Notice:
    text = "this is a test: alerts reach this channel"
    stamp = f"test-{now:%Y%m%d%H%M%S%f}"
    return Notice(
        id=stamp,
        index="rollouts",
        what="alert.test",
        severity=Severity.INFO,
        state="moment",
        at=now,
        since=now,
        text=text,
        value="",
        bound="",
        actor=actor,
        reason=reason or "rollouts alert test",
        next="nothing to do",
        deployment_id=None,
    )


def _queue_deliveries(
    session: Session, now: datetime, channels: Mapping[str, AlertChannel]
) -> None:
    """Creates a delivery of each new notice for every channel that wants it, once."""
    query = (
        select(NoticeRow).where(~NoticeRow.spread).order_by(NoticeRow.number).limit(_SWEEP_LIMIT)
    )
    for row in session.scalars(query.with_for_update(skip_locked=True)).all():
        mine = (
            update(NoticeRow)
            .where(NoticeRow.number == row.number, ~NoticeRow.spread)
            .values(spread=True)
        )
        if session.execute(mine.returning(NoticeRow.number)).first() is None:
            continue
        wanting = [
            name
            for name, channel in channels.items()
            if Severity(row.severity).reaches(channel.least)
        ]
        session.add_all(
            DeliveryRow(number=row.number, channel=name, due_at=now) for name in wanting
        )


def _prune_notices(session: Session, now: datetime) -> None:
    old = select(NoticeRow.number).where(NoticeRow.at < now - _PRUNE_AFTER, NoticeRow.spread)
    waiting = exists().where(
        DeliveryRow.number == NoticeRow.number, DeliveryRow.status == DeliveryStatus.WAITING
    )
    numbers = list(session.scalars(old.where(~waiting).limit(_SWEEP_LIMIT)))
    if numbers:
        session.execute(delete(DeliveryRow).where(DeliveryRow.number.in_(numbers)))
        session.execute(delete(NoticeRow).where(NoticeRow.number.in_(numbers)))


def _deliver_on_channel(
    services: Services, name: str, channel: AlertChannel, ends: float
) -> Iterator[str]:
    """Sends until nothing is due, another process sends, the channel fails or the sweep's time is
    over."""
    while time.monotonic() < ends:
        claim = _claim_delivery(services, name)
        if claim is None:
            return
        error = _send_notice(channel, claim.notice)
        _mark_delivery(services, claim, error)
        yield f"{name}: {claim.notice.subject}: {error or 'sent'}"
        if error:
            return


def _claim_delivery(services: Services, channel: str) -> _Claim | None:
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        number = _find_next_notice(session, now, channel)
        if number is None:
            return None
        mine = update(DeliveryRow).where(
            DeliveryRow.number == number, *_claimable_conditions(channel, now)
        )
        values = {
            "lease_until": now + _LEASE,
            "turn": DeliveryRow.turn + 1,
            "tries": DeliveryRow.tries + 1,
        }
        won = session.execute(
            mine.values(values).returning(DeliveryRow.turn, DeliveryRow.tries)
        ).first()
        if won is None:
            return None
        row = session.get_one(NoticeRow, number)
        return _Claim(number, channel, won.turn, won.tries, outbox.read_notice(row.message))


def _find_next_notice(session: Session, now: datetime, channel: str) -> int | None:
    """Returns the first due notice without an earlier waiting one of the same index and kind; None
    while one is being sent."""
    waiting = select(DeliveryRow, NoticeRow.alias, NoticeRow.what).join(
        NoticeRow, NoticeRow.number == DeliveryRow.number
    )
    waiting = waiting.where(
        DeliveryRow.channel == channel, DeliveryRow.status == DeliveryStatus.WAITING
    )
    rows = session.execute(waiting.order_by(DeliveryRow.number).limit(_SWEEP_LIMIT)).all()
    if any(leases.lasts(row.lease_until, now, _LEASE) for row, _, _ in rows):
        return None
    held = set()
    for row, alias, what in rows:
        if not _waits(row, now) and (alias, what) not in held:
            return row.number
        held.add((alias, what))
    return None


def _waits(row: DeliveryRow, now: datetime) -> bool:
    """A delivery waits at most as long as its failed tries, or another one's on the channel,
    require: the clock may have been set back."""
    return row.due_at > now and leases.lasts(
        row.due_at, now, max(timedelta(seconds=_CHANNEL_WAIT), _wait(row.tries))
    )


def _wait(tries: int) -> timedelta:
    return timedelta(seconds=min(_FIRST_WAIT * 2 ** min(max(tries, 1) - 1, 16), _LONGEST_WAIT))


def _claimable_conditions(channel: str, now: datetime) -> tuple[Any, ...]:
    free = leases.free(DeliveryRow.lease_until, now, _LEASE)
    return DeliveryRow.channel == channel, DeliveryRow.status == DeliveryStatus.WAITING, free


def _send_notice(channel: AlertChannel, notice: Notice) -> str:
    """Returns what went wrong; empty if nothing did."""
    try:
        channel.send(notice)
    except AppError as error:
        return str(error)
    except Exception as error:
        # This is the boundary between channels: a channel's fault is stored in its row and must not
        # stop the others.
        log.exception("alert %s could not be sent by %s", notice.id, channel.kind)
        return redact(f"unexpected {type(error).__name__}: {error}")
    return ""


def _mark_delivery(services: Services, claim: _Claim, error: str) -> None:
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        row = session.get(DeliveryRow, (claim.number, claim.channel), with_for_update=True)
        if row is None or row.turn != claim.turn:  # somebody else has it by now
            return
        row.lease_until = None
        row.error = error
        if not error:
            row.status = next_delivery_status(row.status, DeliveryEvent.SEND)
            row.sent_at = now
            return
        due = row.due_at = now + _wait(claim.tries)
        given_up = now - claim.notice.at > _GIVE_UP_AFTER
        row.status = next_delivery_status(
            row.status, DeliveryEvent.GIVE_UP if given_up else DeliveryEvent.FAIL
        )
        session.flush()
        others = update(DeliveryRow).where(
            DeliveryRow.channel == claim.channel, DeliveryRow.status == DeliveryStatus.WAITING
        )
        pause = min(due, now + timedelta(seconds=_CHANNEL_WAIT))
        session.execute(others.where(DeliveryRow.due_at < pause).values(due_at=pause))
    if given_up:
        log.error(
            "alert %s was given up for channel %s: %s", claim.notice.subject, claim.channel, error
        )
