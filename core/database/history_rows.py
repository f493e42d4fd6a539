"""The tables of what the charts show: searches over time, and how fast versions were filled."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base


class SearchHistoryRow(Base):
    """The searches of users that a collection answered in one minute or one hour (``level``) that
    began ``at``. ``latencies``: see ``core.statistics.search_counts``."""

    __tablename__ = "search_history"
    __table_args__ = (Index("search_history_by_time", "level", "at"),)

    alias: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    collection: Mapped[str] = mapped_column(primary_key=True)
    errors: Mapped[int] = mapped_column(BigInteger)
    latencies: Mapped[bytes] = mapped_column(LargeBinary)


class FillHistoryRow(Base):
    """How far the filling of ``collection`` was when it was last seen in the interval that began
    ``at``: so many ``records``, or points of a copy, and at which ``rate`` a second then, if it was
    known."""

    __tablename__ = "fill_history"
    __table_args__ = (
        Index("fill_history_by_alias", "alias", "at"),
        Index("fill_history_by_time", "at"),
    )

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    alias: Mapped[str]
    collection: Mapped[str]
    attempt: Mapped[int]
    seen_at: Mapped[datetime]
    records: Mapped[int] = mapped_column(BigInteger)
    rate: Mapped[float | None]
