"""The tables of schedules: what runs when, and one row for each time that came."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.lifecycle import OPEN_RUNS, RunStatus

#: The actor of what a schedule starts.
ACTOR = "schedule"

_OPEN = text("status IN ({})".format(", ".join(f"'{status}'" for status in sorted(OPEN_RUNS))))


def is_replaced(session: Session, deployment_id: str) -> bool:
    """Returns whether the next run of a schedule has taken the place of this deployment."""
    query = select(ScheduleRun.id).where(
        ScheduleRun.deployment_id == deployment_id, ScheduleRun.status == RunStatus.REPLACED
    )
    return session.scalars(query.limit(1)).first() is not None


class Schedule(Base):
    """An action on an index, by an ``index_file.ScheduleSpec``. ``declared`` is what the index file
    last said and ``spec`` what is in force; they differ if a person has changed it since. Without
    ``spec`` the schedule is off."""

    __tablename__ = "schedules"
    __table_args__ = (UniqueConstraint("alias", "action"), Index("schedules_by_next", "next_at"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    alias: Mapped[str]
    action: Mapped[str]
    spec: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    declared: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    #: The first nominal time that has not been handled yet.
    next_at: Mapped[datetime | None]
    paused_by: Mapped[str | None]
    reason: Mapped[str] = mapped_column(default="")
    #: Since when a success is expected: the last success, or when the schedule was switched on.
    waiting_since: Mapped[datetime]
    #: When an alert was sent because no run has succeeded for too long.
    told_at: Mapped[datetime | None]


class ScheduleRun(Base):
    """One nominal time and its run. A run begins in the transaction that records its deployment, so
    there is never a second one. A verification runs turn by turn, each under a lease, and ``turn``
    is its fence."""

    __tablename__ = "schedule_runs"
    __table_args__ = (
        UniqueConstraint("schedule_id", "nominal_at"),
        Index(
            "one_open_run_per_schedule",
            "schedule_id",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    schedule_id: Mapped[int] = mapped_column(ForeignKey("schedules.id"))
    nominal_at: Mapped[datetime]
    status: Mapped[RunStatus] = mapped_column(Text, default=RunStatus.DUE)
    message: Mapped[str] = mapped_column(default="")
    actor: Mapped[str]
    deployment_id: Mapped[str | None] = mapped_column(ForeignKey("deployments.id"))
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    turn: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    #: What a verification has found so far, and in the end its report.
    state: Mapped[dict[str, Any]] = mapped_column(default=dict)
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)
