"""The table of log lines: what the processes logged while they took turns of a deployment."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base


class LogLineRow(Base):
    """``level`` is info, warning or error. ``process`` is the worker that took the turn, ``logger``
    the part of the program that wrote the line. ``text`` has no secrets and a bounded length
    (``core.deployments.turn_log``)."""

    __tablename__ = "log_lines"
    __table_args__ = (
        Index("log_lines_of_deployment", "deployment_id", "id"),
        Index("log_lines_by_time", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"))
    at: Mapped[datetime]
    level: Mapped[str]
    process: Mapped[str]
    logger: Mapped[str]
    text: Mapped[str]
