"""The tables of web access: tokens, and the sessions of people who signed in with one."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from qdrant_rollouts.core.database.models import Base


class TokenRow(Base):
    """A bearer token. The row holds only the SHA-256 of the secret; because the secret has 256
    random bits, no slower hash is needed."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str]
    scopes: Mapped[list[Any]] = mapped_column(JSON)
    actor: Mapped[str]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    #: To the minute: see ``interfaces.access.tokens``.
    last_used_at: Mapped[datetime | None]


class SessionRow(Base):
    """The session of a person who signed in at the pages. ``token_id`` is None for the token of the
    settings; ``proof`` then ties the session to that token. See ``interfaces.access.web_sessions``.
    """

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    token_id: Mapped[str | None] = mapped_column(ForeignKey("tokens.id"))
    proof: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class OnceRow(Base):
    """A request that starts something, with a key that its caller chose; see
    ``interfaces.access.idempotency``. ``claim`` is the fence: each try increases it by one."""

    __tablename__ = "once"

    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    claim: Mapped[int] = mapped_column(default=1)
    lease_until: Mapped[datetime]
    #: The id of what was started, written in the transaction that started it.
    started: Mapped[str | None]
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(index=True)
