"""The tables of alerts: what lasts, what is to be said, and what each channel has been told."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.lifecycle import DeliveryStatus

_WAITING = text("status = 'waiting'")
_UNSPREAD = text("NOT spread")


class ConditionRow(Base):
    """Something that lasts: there is one row for each index and kind while it does, and none afterwards."""

    __tablename__ = "alert_conditions"
    __table_args__ = (UniqueConstraint("alias", "what"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    #: An alias, or the route of an experiment that has none.
    alias: Mapped[str]
    what: Mapped[str]
    since: Mapped[datetime]
    repeat_at: Mapped[datetime]
    message: Mapped[dict[str, Any]]


class NoticeRow(Base):
    """The outbox: one row for each thing to be said, written in the transaction of the change it tells of. ``id`` goes
    with the message, so that who receives it twice can tell; ``message`` is what ``core.ports.Notice`` holds."""

    __tablename__ = "alert_notices"
    __table_args__ = (Index("unspread_notices", "number", sqlite_where=_UNSPREAD, postgresql_where=_UNSPREAD),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True)
    alias: Mapped[str] = mapped_column(index=True)
    what: Mapped[str]
    severity: Mapped[str]
    at: Mapped[datetime]
    message: Mapped[dict[str, Any]]
    #: Whether it has a delivery for every channel by now.
    spread: Mapped[bool] = mapped_column(default=False)


class DeliveryRow(Base):
    """One notice and one channel. ``turn`` is the fence, as a deployment's: who comes back late can mark nothing."""

    __tablename__ = "alert_deliveries"
    __table_args__ = (
        Index("waiting_deliveries", "channel", "number", sqlite_where=_WAITING, postgresql_where=_WAITING),
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
