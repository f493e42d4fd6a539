"""The table of slices: the parts of a source that several workers fill at the same time."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base
from qdrant_rollouts.core.lifecycle import SliceStatus

_FILLING = text(f"status = '{SliceStatus.FILLING}'")


class SliceRow(Base):
    """One slice of a deployment's source. ``turn`` is the fence, as in ``Deployment``; ``state`` is
    what the last turn has saved (``core.deployments.steps.data.FillState``).

    ``start`` is the cursor after which the slice begins, and ``stop`` the one with which it ends;
    None: at the source's beginning and end. ``tries``, ``crashes`` and ``waited`` as in
    ``StepRow``.
    """

    __tablename__ = "slices"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[dict[str, Any] | None]
    stop: Mapped[dict[str, Any] | None]
    status: Mapped[SliceStatus] = mapped_column(Text, default=SliceStatus.FILLING)
    message: Mapped[str] = mapped_column(default="")
    state: Mapped[dict[str, Any]] = mapped_column(default=dict)

    turn: Mapped[int] = mapped_column(default=0)
    wake_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    knocked_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    waited: Mapped[float] = mapped_column(default=0.0)
    #: Turns that ended without an answer to their last write, so that it may arrive later.
    unsure: Mapped[int] = mapped_column(default=0)

    __mapper_args__ = {"version_id_col": turn}
    __table_args__ = (
        Index("slices_filling", "wake_at", sqlite_where=_FILLING, postgresql_where=_FILLING),
    )
