"""Lets a collection refuse writes for a moment, and lets it take them again whatever happens.

Rule: before the server is told anything, a row says what the strict mode was and until when the
freeze may last. The process that froze the collection lifts the freeze. If that process dies, the
sweep does it when the time is over.

A freeze is not tight: one point a minute passes (qdrant-facts 6.3). So what was written meanwhile
is looked for after the alias has moved.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from qdrant_rollouts.core.database import leases
from qdrant_rollouts.core.database.write_rows import Freeze
from qdrant_rollouts.core.errors import AppError, LeaseLost, Limited, Refused, Unavailable
from qdrant_rollouts.core.ports import VectorStore
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)

_FROZEN = {"enabled": True, "upsert_max_batchsize": 0, "write_rate_limit": 1}
#: A limit cannot be taken out of a strict mode, only be made so large that it is none.
_NO_LIMIT = 1_000_000_000
_TRIES = 20
#: No freeze lasts longer than a turn can. One that would was written before the clock was set back.
_LONGEST = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class Fence:
    """A freeze that this process holds. ``ends`` is a monotonic time."""

    collection: str
    ends: float

    def check(self, seconds: float) -> None:
        """Raises LeaseLost if the freeze may be lifted within ``seconds``."""
        left = self.ends - time.monotonic()
        if left < seconds:
            raise LeaseLost(
                f"{self.collection} is frozen for {left:.1f} s more, {seconds:.0f} s are needed"
            )


def freeze_collection(
    services: Services, collection: str, deployment_id: str, seconds: float
) -> Fence:
    """Lets the collection refuse writes for at most ``seconds``. When this returns, every write
    that it took is applied. Raises Refused if another deployment has it frozen."""
    store = services.store
    began = time.monotonic()
    strict = store.schema(collection).get("strict_mode_config")
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        row = session.get(Freeze, collection, with_for_update=True)
        if row is None:
            row = Freeze(collection=collection, deployment_id=deployment_id, strict=strict)
            session.add(row)
        elif row.deployment_id != deployment_id:
            raise Refused(f"{collection} is frozen by deployment {row.deployment_id}")
        strict = row.strict  # of before the first try, if this is another one
        row.until = now + timedelta(seconds=seconds)
    _close_collection(store, collection, {**_without_dormant_limits(strict), **_FROZEN})
    return Fence(collection, began + seconds)


def lift_freeze(services: Services, collection: str, deployment_id: str) -> bool:
    """Lets the collection take writes again. Returns whether it was frozen by this deployment. May
    be repeated."""
    with services.sessions() as session:
        row = session.get(Freeze, collection)
        if row is None or row.deployment_id != deployment_id:
            return False
        strict = row.strict
    _restore_strict_mode(services.store, collection, strict)
    mine = delete(Freeze).where(
        Freeze.collection == collection, Freeze.deployment_id == deployment_id
    )
    with services.sessions.begin() as session:
        session.execute(mine)
    return True


def lift_expired(services: Services) -> list[str]:
    """Lifts every freeze whose time is over, because its process has died. Returns the names of the
    collections. One that cannot be reached is tried again by the next sweep."""
    with services.sessions() as session:
        now = services.clock.now(session)
        expired = session.execute(
            select(Freeze.collection, Freeze.deployment_id).where(
                leases.free(Freeze.until, now, _LONGEST)
            )
        ).all()
    lifted = []
    for collection, deployment_id in expired:
        try:
            if lift_freeze(services, collection, deployment_id):
                lifted.append(collection)
        except AppError as error:  # the sweep has other work, which must not wait for this
            log.warning("%s still refuses writes: %s", collection, error)
    return lifted


def _close_collection(store: VectorStore, collection: str, strict: Mapping[str, Any]) -> None:
    """Sets the strict mode, and waits for the writes before. The wait is itself the one write a
    minute that the limit allows. Where others were faster, or the limit is new, nothing is allowed
    now; setting the limit again allows one more (measured on 1.16.3). Raises Unavailable if others
    are faster each time."""
    for _ in range(_TRIES):
        store.set_strict_mode(collection, strict)
        try:
            store.await_writes(collection)
        except Limited:
            continue
        return
    raise Unavailable(f"{collection} is written to so often that it could not be frozen")


def _without_dormant_limits(strict: Mapping[str, Any] | None) -> dict[str, Any]:
    """Limits of a strict mode that is off would come into force with it, also for searches."""
    if not strict or strict.get("enabled"):
        return {}
    return {name: _no_limit(value) for name, value in strict.items() if value is not None}


def _no_limit(value: Any) -> Any:
    if isinstance(value, bool):
        return True
    return _NO_LIMIT


def _restore_strict_mode(
    store: VectorStore, collection: str, strict: Mapping[str, Any] | None
) -> None:
    """Sets the strict mode to what it was."""
    if collection not in store.collections():
        return
    before = {name: value for name, value in (strict or {}).items() if value is not None}
    opened = {name: _NO_LIMIT for name in _FROZEN if name != "enabled"}
    store.set_strict_mode(collection, {**opened, "enabled": False, **before})
