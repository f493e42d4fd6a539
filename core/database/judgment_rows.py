"""The table of judgments that people propose for the judged file of an index."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base


class JudgmentRow(Base):
    """One line of a proposal. ``digest`` is that of the query, which may be too long for a key.
    ``relevant`` as in the judged file: ids, or ids with grades."""

    __tablename__ = "judgments"

    alias: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    query: Mapped[str]
    relevant: Mapped[Any] = mapped_column(JSON)
    reason: Mapped[str]
    actor: Mapped[str]
    at: Mapped[datetime]
