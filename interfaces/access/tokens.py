"""Bearer tokens: which caller may do what through the web.

Rule: a token is ``rlt_<id>_<secret>``, shown once, when it is created. The row holds a digest of
it, which is compared in constant time, so neither the database nor the duration of an answer
reveals a token.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.caller_rows import TokenRow
from qdrant_rollouts.core.errors import Malformed, Refused, Unknown
from qdrant_rollouts.core.ports.naming import check_name
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_iso

#: Each scope, and what it allows.
SCOPE_WORDS = {
    "read": "look at everything",
    "search": "search through routes",
    "routes": "read routes",
    "feedback": "report what users did",
    "router": "read routes, and report observations and feedback",
    "write": "write records, change and delete them",
    "deploy": "start and stop deployments and experiments",
    "admin": "do everything",
}
SCOPES = tuple(SCOPE_WORDS)
#: Scopes that a scope includes.
_IMPLIED_SCOPES = {
    "read": ("routes",),
    "router": ("routes", "feedback"),
    "deploy": ("read", "routes"),
    "admin": SCOPES,
}
_NOTE_USE_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller, as events name it, and its scopes."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes


def expand_scopes(scopes: Sequence[str]) -> frozenset[str]:
    return frozenset(scopes).union(*(_IMPLIED_SCOPES.get(scope, ()) for scope in scopes))


def describe_scopes(scopes: frozenset[str]) -> str:
    """Says what they allow; a scope that another one includes is left out."""
    included = {one for scope in scopes for one in _IMPLIED_SCOPES.get(scope, ()) if one != scope}
    words = [SCOPE_WORDS[one] for one in SCOPES if one in scopes - included]
    return ", and ".join(words) or "nothing"


ALL_SCOPES = expand_scopes(("admin",))


def create_token(
    services: Services, name: str, scopes: Sequence[str], *, actor: str, reason: str = ""
) -> dict[str, Any]:
    """Creates a token; ``token`` of the answer is shown only this once. A name is never used twice,
    so events of a revoked token cannot belong to another one."""
    check_name("token", name)
    wrong = [scope for scope in scopes if scope not in SCOPES]
    if wrong or not scopes:
        found = repr(wrong[0]) if wrong else "none"
        raise Malformed(
            f"scopes of token {name}: found {found}; expected one or more of {', '.join(SCOPES)}"
        )
    token_id = secrets.token_hex(6)
    secret = secrets.token_urlsafe(32)
    token = f"rlt_{token_id}_{secret}"
    row = TokenRow(
        id=token_id, name=name, digest=hash_secret(token), scopes=sorted(set(scopes)), actor=actor
    )
    try:
        with services.sessions.begin() as session:
            row.created_at = services.clock.now(session)
            session.add(row)
            session.flush()
            words = f"{name}: {', '.join(row.scopes)}"
            events.record_event(
                session, row.created_at, "token.created", words, actor=actor, reason=reason
            )
            return {**_token_as_json(row), "token": token}
    except IntegrityError as error:
        raise Refused(
            f"a token named {name} was made before; take another name (`rollouts token list`)"
        ) from error


def revoke_token(services: Services, name: str, *, actor: str, reason: str = "") -> dict[str, Any]:
    """The token is refused from now on; revoking it again changes nothing."""
    with services.sessions.begin() as session:
        row = session.scalars(
            select(TokenRow).where(TokenRow.name == name).with_for_update()
        ).one_or_none()
        if row is None:
            raise Unknown(
                f"there is no token {quote_value(name)}; `rollouts token list` shows them"
            )
        now = services.clock.now(session)
        changes = row.revoked_at is None
        row.revoked_at = row.revoked_at or now
        event = "token.unchanged"
        if changes:
            event = "token.revoked"
        events.record_event(session, now, event, f"{name}: revoked", actor=actor, reason=reason)
        return _token_as_json(row)


def list_tokens(services: Services) -> list[dict[str, Any]]:
    """Returns tokens by name, revoked ones included; without their secrets, which nobody knows."""
    with services.sessions() as session:
        return [
            _token_as_json(row) for row in session.scalars(select(TokenRow).order_by(TokenRow.name))
        ]


def has_any_token(services: Services) -> bool:
    """Whether there was ever a token: revoking the last one must not give everybody on this machine
    access."""
    with services.sessions() as session:
        return session.scalars(select(TokenRow.id).limit(1)).first() is not None


def caller_of_token(services: Services, presented: str) -> Caller | None:
    """Returns the caller; None if the text is not a token, or if the token was revoked."""
    with services.sessions.begin() as session:
        row = find_token(session, presented)
        if row is None:
            return None
        now = services.clock.now(session)
        if row.last_used_at is None or now - row.last_used_at > _NOTE_USE_EVERY:
            row.last_used_at = now
        return caller_of_row(row)


def find_token(session: Session, presented: str) -> TokenRow | None:
    """Returns the row of a valid token."""
    kind, _, rest = presented.partition("_")
    row = None
    if kind == "rlt" and presented.isascii():
        row = session.get(TokenRow, rest.partition("_")[0])
    matches = hmac.compare_digest(row.digest if row else "", hash_secret(presented))
    if row is not None and matches and row.revoked_at is None:
        return row
    return None


def caller_of_row(row: TokenRow) -> Caller:
    return Caller(f"token:{row.name}", expand_scopes(row.scopes))


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token_as_json(row: TokenRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "id": row.id,
        "scopes": row.scopes,
        "actor": row.actor,
        "created_at": as_iso(row.created_at),
        "last_used_at": as_iso(row.last_used_at),
        "revoked_at": as_iso(row.revoked_at),
    }
