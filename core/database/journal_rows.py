"""The tables of the journal: which collection takes the writes of an alias, which processes write,
and the ids that were written while a rebuild captures; see ``core.journal``."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base

_UNRETIRED = text("retired_at IS NULL")


class Phase(StrEnum):
    """What becomes of an alias's writes. ``ANNOUNCED``: writers are told to write rows, but not all
    of them have confirmed it. ``CAPTURING``: every write has a row, and the old collection leads.
    ``FOLLOWING``: the same after a switch, so the old collection is kept equal to the new one."""

    IDLE = "idle"
    ANNOUNCED = "announced"
    CAPTURING = "capturing"
    FOLLOWING = "following"


class Gate(StrEnum):
    """Whether writes may begin. ``CLOSED``: not before ``closed_until``. ``FLIPPING``: not before
    the switch, which was decided, is finished."""

    OPEN = "open"
    CLOSED = "closed"
    FLIPPING = "flipping"


class EntryStatus(StrEnum):
    """``DONE``: the request has ended, whether it was applied or refused. ``UNKNOWN``: there was no
    usable answer, so the write may still arrive."""

    PENDING = "pending"
    DONE = "done"
    UNKNOWN = "unknown"


class WriteStateRow(Base):
    """An alias that was ever rebuilt with the journal. The ``leader`` takes all writes, and
    catch-up keeps the ``follower`` equal to it. ``epoch`` grows with each switch, ``version`` with
    each phase."""

    __tablename__ = "write_states"

    alias: Mapped[str] = mapped_column(primary_key=True)
    phase: Mapped[Phase] = mapped_column(Text, default=Phase.IDLE)
    gate: Mapped[Gate] = mapped_column(Text, default=Gate.OPEN)
    closed_until: Mapped[datetime | None]
    leader: Mapped[str]
    follower: Mapped[str | None]
    epoch: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=0)
    #: The last row that was written before the capture began.
    captured_after: Mapped[int | None] = mapped_column(BigInteger)
    #: Since when a round writes to the follower. It is empty between two rounds, so a round that
    #: finds it set knows that an earlier one did not end.
    sending_since: Mapped[datetime | None]
    #: Nothing is written to the follower before this time, because a write of a round that did not
    #: end may still arrive.
    quiet_until: Mapped[datetime | None]
    #: Who brings writes to the older version after a switch, and for how long.
    followed_by: Mapped[str | None]
    followed_until: Mapped[datetime | None]
    changed_at: Mapped[datetime]


class WriterRow(Base):
    """A process that writes points, and until when it may rely on what it knows. ``confirmed``: by
    alias, the version of the phase that it writes by."""

    __tablename__ = "writers"

    process: Mapped[str] = mapped_column(primary_key=True)
    lease_until: Mapped[datetime]
    confirmed: Mapped[dict[str, Any]]


class JournalRow(Base):
    """One write: the ids of its points, never their content. It is retired when its ids were read
    again after the write had ended, and what was found was written to the follower."""

    __tablename__ = "journal"
    __table_args__ = (
        Index(
            "journal_by_alias",
            "alias",
            "status",
            sqlite_where=_UNRETIRED,
            postgresql_where=_UNRETIRED,
        ),
        {"sqlite_autoincrement": True},
    )

    seq: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    alias: Mapped[str]
    epoch: Mapped[int]
    point_ids: Mapped[list[Any]]
    status: Mapped[EntryStatus] = mapped_column(Text, default=EntryStatus.PENDING)
    #: Whether the write was under way when the capture, or the epoch in which it counts, began.
    carried: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
