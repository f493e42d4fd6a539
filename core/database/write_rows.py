"""The tables for writes while an index is rebuilt: collections that refuse writes for a moment, and
the records that a source had."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base


class Freeze(Base):
    """A collection that is frozen by a deployment, or is about to be. ``strict`` is its strict mode
    before, as the schema had it. After ``until`` anybody may lift the freeze."""

    __tablename__ = "freezes"

    collection: Mapped[str] = mapped_column(primary_key=True)
    deployment_id: Mapped[str]
    strict: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    until: Mapped[datetime]


class SeenIds(Base):
    """Records that a pass over the source has met, in pieces: 8 bytes for each point id
    (``core.collections.seen``). ``after``: how many records the pass had read before the piece, so
    a repeated piece replaces itself."""

    __tablename__ = "seen_ids"

    deployment_id: Mapped[str] = mapped_column(primary_key=True)
    after: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    ids: Mapped[bytes] = mapped_column(LargeBinary)
