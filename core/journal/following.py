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
from qdrant_rollouts.core.database.journal_rows import (
    EntryStatus,
    JournalRow,
    Phase,
    WriteStateRow,
)
from qdrant_rollouts.core.errors import Broken, LeaseLost
from qdrant_rollouts.core.services import Services

#: Seconds. A lease is longer than what its holder does, so it runs out only if that one dies: a
#: worker works for a slice, and a deployment for a turn.
LEASE = 45.0
LEASE_OF_TURN = 100.0
_LONGEST = timedelta(seconds=LEASE_OF_TURN)


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

    def save_within(self, session: Session, state: dict[str, Any]) -> None:
        self.save(state)

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


def claim_following(
    services: Services, alias: str, owner: str, seconds: float = LEASE
) -> FollowerTurn | None:
    """Claims the alias for ``owner``, or prolongs its claim. Returns None if somebody else follows,
    or if nobody has to."""
    ends = time.monotonic() + seconds
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
            row.followed_until = now + timedelta(seconds=seconds)
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


def list_journaled(session: Session) -> list[WriteStateRow]:
    """Returns the states of all aliases whose writers write rows."""
    query = select(WriteStateRow).where(WriteStateRow.phase != Phase.IDLE)
    return list(session.scalars(query.order_by(WriteStateRow.alias)))


def list_behind(session: Session) -> list[str]:
    """Returns the aliases whose older version lacks writes."""
    left = JournalRow.alias == WriteStateRow.alias, JournalRow.retired_at.is_(None)
    query = select(WriteStateRow.alias).where(
        WriteStateRow.phase == Phase.FOLLOWING, exists().where(*left)
    )
    return list(session.scalars(query.order_by(WriteStateRow.alias)))


def list_ended(session: Session) -> list[str]:
    """Returns the aliases whose journal has ended and has rows left."""
    ended = JournalRow.alias == WriteStateRow.alias, JournalRow.status != EntryStatus.PENDING
    query = select(WriteStateRow.alias).where(
        WriteStateRow.phase == Phase.IDLE, exists().where(*ended)
    )
    return list(session.scalars(query))
