"""The tables of alerts: what lasts, what must be sent, and what each channel was sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.lifecycle import DeliveryStatus

_WAITING = text("status = 'waiting'")
_UNSPREAD = text("NOT spread")


class ConditionRow(Base):
    """A condition that lasts. There is one row for each index and kind while it lasts, and none
    afterwards."""

    __tablename__ = "alert_conditions"
    __table_args__ = (UniqueConstraint("alias", "what"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    #: An alias, or the route of an experiment that has no alias.
    alias: Mapped[str]
    what: Mapped[str]
    since: Mapped[datetime]
    repeat_at: Mapped[datetime]
    message: Mapped[dict[str, Any]]


class NoticeRow(Base):
    """The outbox: one row for each notice, written in the transaction of the change that it
    reports. ``id`` is sent with the message, so a receiver can recognise a repeated one.
    ``message`` is what ``core.ports.Notice`` holds."""

    __tablename__ = "alert_notices"
    __table_args__ = (
        Index("unspread_notices", "number", sqlite_where=_UNSPREAD, postgresql_where=_UNSPREAD),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    alias: Mapped[str] = mapped_column(index=True)
    what: Mapped[str]
    severity: Mapped[str]
    at: Mapped[datetime]
    message: Mapped[dict[str, Any]]
    #: Whether it already has a delivery for every channel.
    spread: Mapped[bool] = mapped_column(default=False)


class DeliveryRow(Base):
    """One notice on one channel. ``turn`` is the fence, as for a deployment: a process that comes
    back late cannot mark anything."""

    __tablename__ = "alert_deliveries"
    __table_args__ = (
        Index(
            "waiting_deliveries",
            "channel",
            "number",
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        ),
    )

    number: Mapped[int] = mapped_column(ForeignKey("alert_notices.number"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[DeliveryStatus] = mapped_column(Text, default=DeliveryStatus.WAITING)
    tries: Mapped[int] = mapped_column(default=0)
    turn: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(default="")
    sent_at: Mapped[datetime | None]
