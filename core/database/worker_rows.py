"""The tables of workers: what each worker reports about itself, and turns that no worker has taken
yet."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base


class WorkerRow(Base):
    """A worker with its children, a beat, or an embedded runner, as last reported; see
    ``core.deployments.workers``. All times are the database's. A process that starts under the same
    name takes the row over."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    #: worker, beat, embedded
    kind: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    #: The queues from which it takes messages now; none after it was told to stop.
    queues: Mapped[list[Any]]
    concurrency: Mapped[int]
    #: What its children do: task, deployment_id (None for a task that is not a turn), since. No
    #: other arguments.
    busy: Mapped[list[dict[str, Any]]]
    #: Since when it has had room for one more without interruption; None while it has none.
    idle_since: Mapped[datetime | None]
    received: Mapped[int]
    #: Messages that it took and discarded: too old, unknown or refused by Celery.
    discarded: Mapped[int]
    version: Mapped[str]
    #: The database revision of its program.
    revision: Mapped[str]
    #: Seconds by which its clock is ahead of the database's; negative if it is behind.
    clock_offset: Mapped[float]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class UnclaimedRow(Base):
    """A turn that is due and free, and since when, in seconds of ``ServiceClock``, so that a
    jumping clock does not make it late. It is valid only while the deployment still has this
    ``turn``."""

    __tablename__ = "unclaimed_turns"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    turn: Mapped[int]
    since: Mapped[float]
