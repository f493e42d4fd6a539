"""Requests that start something and may be sent twice: with one key they start it once.

Rule: the started thing is recorded next to the key in the transaction that starts it
(``InTransaction``). So a process that dies between starting and answering has either started
nothing, and the next try does, or left the id of what it started, from which the answer is built
again. A try that was taken for dead and comes back finds its claim taken, and its start is rolled
back.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database import leases
from qdrant_rollouts.core.database.caller_rows import OnceRow
from qdrant_rollouts.core.deployments.commands import InTransaction
from qdrant_rollouts.core.errors import AppError, LeaseLost, Malformed, Unavailable
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services

Answer = Mapping[str, Any]

KEEP_ANSWERS_FOR = timedelta(hours=24)
#: Longer than starting anything takes; a key whose process died stays taken for this long.
LEASE = timedelta(seconds=30)
LONGEST_KEY = 200


class KeyReused(Malformed):
    """The key was sent with another request before."""


class KeyInUse(Unavailable):
    """The first request with this key is being worked at."""


@dataclass(frozen=True, slots=True)
class Key:
    """``caller`` is who sent it: another caller's key of the same name is a different key.
    ``digest`` is of the whole request."""

    caller: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class _Attempt:
    claim: int
    started: str | None
    answer: Answer | None


def build_key(caller: str, name: str, *request: Any) -> Key:
    """Raises Malformed for an invalid name."""
    if not name.strip() or len(name) > LONGEST_KEY or not name.isprintable():
        raise Malformed(
            f"Idempotency-Key {quote_value(name)}: expected 1 to {LONGEST_KEY} printable characters"
        )
    text = json.dumps(request, sort_keys=True, default=str)
    return Key(caller, name, hashlib.sha256(text.encode()).hexdigest())


def answer_once(
    services: Services,
    key: Key,
    start: Callable[[InTransaction], Answer],
    told: Callable[[str], Answer],
) -> tuple[Answer, bool]:
    """Returns the answer of ``start``, and whether it was answered before. ``told`` builds the
    answer for what a process started that died before it could answer. A refusal starts nothing and
    is not stored. Raises Malformed for another request with the same key, Unavailable while the
    first one is being processed."""
    mine = _claim_key(services, key)
    if mine.answer is not None:
        return mine.answer, True
    if mine.started is not None:
        return _keep_answer(services, key, told(mine.started)), True
    try:
        return _keep_answer(
            services, key, start(lambda session, id: _mark_started(session, key, mine.claim, id))
        ), False
    except AppError:
        _release_key(services, key, mine.claim)
        raise


def _claim_key(services: Services, key: Key) -> _Attempt:
    try:
        with services.sessions.begin() as session:
            now = services.clock.now(session)
            session.execute(delete(OnceRow).where(OnceRow.created_at < now - KEEP_ANSWERS_FOR))
            return _claim_row(session, key, now)
    except IntegrityError as error:
        raise _key_in_use(key) from error


def _claim_row(session: Session, key: Key, now: datetime) -> _Attempt:
    row = session.get(OnceRow, (key.caller, key.name), with_for_update=True)
    if row is None:
        session.add(
            OnceRow(
                caller=key.caller,
                key=key.name,
                digest=key.digest,
                lease_until=now + LEASE,
                created_at=now,
            )
        )
        session.flush()
        return _Attempt(1, None, None)
    if row.digest != key.digest:
        raise KeyReused(
            f"Idempotency-Key {quote_value(key.name)} was sent with another request before; take a "
            "new key"
        )
    if row.answer is None and row.started is None:
        if leases.lasts(row.lease_until, now, LEASE):
            raise _key_in_use(key)
        row.claim = row.claim + 1
        row.lease_until = now + LEASE
    return _Attempt(row.claim, row.started, row.answer)


def _key_in_use(key: Key) -> KeyInUse:
    return KeyInUse(
        f"the first request with Idempotency-Key {quote_value(key.name)} is still being processed; "
        "try again"
    )


def _mark_started(session: Session, key: Key, claim: int, started: str) -> None:
    mine = update(OnceRow).where(
        *_matches_key(key), OnceRow.claim == claim, OnceRow.started.is_(None)
    )
    if session.execute(mine.values(started=started).returning(OnceRow.key)).first() is None:
        raise LeaseLost(
            f"Idempotency-Key {quote_value(key.name)} took too long and was taken up by another "
            "process; try again"
        )


def _keep_answer(services: Services, key: Key, answer: Answer) -> Answer:
    with services.sessions.begin() as session:
        session.execute(update(OnceRow).where(*_matches_key(key)).values(answer=dict(answer)))
    return answer


def _release_key(services: Services, key: Key, claim: int) -> None:
    """Only of a request that started nothing."""
    with services.sessions.begin() as session:
        free = OnceRow.claim == claim, OnceRow.started.is_(None)
        session.execute(delete(OnceRow).where(*_matches_key(key), *free))


def _matches_key(key: Key) -> tuple[Any, ...]:
    return OnceRow.caller == key.caller, OnceRow.key == key.name
