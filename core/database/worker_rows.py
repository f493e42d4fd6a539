"""The tables of who takes turns: what each worker says of itself, and the turns that nobody has taken yet."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base


class WorkerRow(Base):
    """A worker with its children, a beat, or an embedded runner, as it last told; see ``core.deployments.workers``. All
    times are the database's. Who starts again under a name takes its row over."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    #: worker, beat, embedded
    kind: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    #: What it takes messages of at this moment: none once it was told to stop.
    queues: Mapped[list[Any]]
    concurrency: Mapped[int]
    #: What its children do: task, deployment_id (None for what is no turn), since. Never an argument of anything else.
    busy: Mapped[list[dict[str, Any]]]
    #: Since when it has had room for one more without a break; None while it has none.
    idle_since: Mapped[datetime | None]
    received: Mapped[int]
    #: Messages that it took and threw away: too old, unknown or refused by Celery.
    discarded: Mapped[int]
    version: Mapped[str]
    #: The database revision that its program was made for.
    revision: Mapped[str]
    #: Seconds that its clock is ahead of the database's; negative where it is behind.
    clock_offset: Mapped[float]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class UnclaimedRow(Base):
    """A turn that is due and free, and since when, in seconds of ``ServiceClock``: no clock that jumps makes it late.
    It speaks of the deployment only while that still has this ``turn``."""

    __tablename__ = "unclaimed_turns"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    turn: Mapped[int]
    since: Mapped[float]
