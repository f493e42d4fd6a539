"""Who keeps the older version like the newer one after a switch.

Rule: one at a time. A worker holds the alias's lease while it does rounds, and a deployment that
needs rounds of its own waits until that lease is free, and then takes it.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database import leases
from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.database.journal_rows import JournalRow, Phase, WriteStateRow
from qdrant_rollouts.core.errors import Broken, LeaseLost
from qdrant_rollouts.core.services import Services

#: Seconds. A lease is longer than a turn of its holder, so it runs out only if that one dies.
LEASE = 30.0
_LONGEST = timedelta(seconds=LEASE)


@dataclass(frozen=True, slots=True)
class FollowerTurn:
    """The claim of a worker that keeps an older version like the newer one. ``ends`` is a monotonic
    time. No step works under it, so nothing can be saved."""

    alias: str
    owner: str
    ends: float
    number: int = 0

    def save(self, state: dict[str, Any], *, progress: bool = False) -> None:
        raise Broken(f"the worker that follows {self.alias} has no step")

    def prolong(self) -> None:
        raise Broken(f"the worker that follows {self.alias} does nothing long")

    def check(self, seconds: float) -> None:
        """Raises LeaseLost unless the lease lasts ``seconds`` more."""
        if self.ends - time.monotonic() < seconds:
            raise LeaseLost(f"{self.alias} may be followed by another worker soon")

    def fence(self, session: Session) -> None:
        """Keeps the claim ours until this transaction ends. Raises LeaseLost if it was taken."""
        row = session.get(WriteStateRow, self.alias, populate_existing=True, with_for_update=True)
        if row is None or row.phase != Phase.FOLLOWING or row.followed_by != self.owner:
            raise LeaseLost(f"{self.alias} is not followed by this worker any more")


def claim_following(services: Services, alias: str, owner: str) -> FollowerTurn | None:
    """Claims the alias for ``owner``, or prolongs its claim. Returns None if somebody else follows,
    or if nobody has to."""
    ends = time.monotonic() + LEASE
    try:
        with services.sessions.begin() as session:
            now = services.clock.now(session)
            row = session.get(WriteStateRow, alias, with_for_update=True)
            if row is None or row.phase != Phase.FOLLOWING:
                return None
            taken = row.followed_by not in (None, owner)
            if taken and leases.lasts(row.followed_until, now, _LONGEST):
                return None
            row.followed_by = owner
            row.followed_until = now + _LONGEST
    except SQLAlchemyError as error:
        raise explain_error(error) from error
    return FollowerTurn(alias, owner, ends)


def release_following(services: Services, alias: str, owner: str) -> None:
    """Lets others follow. May be repeated."""
    try:
        with services.sessions.begin() as session:
            row = session.get(WriteStateRow, alias, with_for_update=True)
            if row is not None and row.followed_by == owner:
                row.followed_by = None
                row.followed_until = None
    except SQLAlchemyError as error:
        raise explain_error(error) from error


def list_followed(session: Session, *, behind: bool = False) -> list[WriteStateRow]:
    """Returns the aliases whose older version is kept like the newer one. ``behind``: only those
    with writes that have not reached it."""
    query = select(WriteStateRow).where(WriteStateRow.phase == Phase.FOLLOWING)
    if behind:
        left = JournalRow.alias == WriteStateRow.alias, JournalRow.retired_at.is_(None)
        query = query.where(exists().where(*left))
    return list(session.scalars(query.order_by(WriteStateRow.alias)))
