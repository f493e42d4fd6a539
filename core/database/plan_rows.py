"""The table of plans: what a deployment was expected to take, before it filled its collection."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base


class PlanRow(Base):
    """Written once, when the way of filling is chosen. ``estimate`` has ``way``, and for
    ``records``, ``texts`` and ``seconds`` the value with the ends of its interval, as far as they
    were known. What it took is in the row of the step that filled the collection."""

    __tablename__ = "plans"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    created_at: Mapped[datetime]
    estimate: Mapped[dict[str, Any]]
