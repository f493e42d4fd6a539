"""Sessions of people who signed in at the pages with a token, so that the browser does not store
the token itself.

Rule: the browser has a random secret, the row its digest. A session ends with its token: each
request checks whether the token is revoked. The token of the settings has no row, so its session
stores a proof that it was shown: its HMAC-SHA-256 with the browser's secret as key, which nobody
can create or test with the contents of the database alone.
"""

import hmac
import secrets
from datetime import timedelta

from sqlalchemy import delete

from qdrant_rollouts.core.database import events
from qdrant_rollouts.core.database.caller_rows import SessionRow, TokenRow
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.access.tokens import ALL_SCOPES, Caller

SESSION_LENGTH = timedelta(hours=12)
#: The name in events of the holder of the settings' token.
SETTINGS_CALLER = "token:ROLLOUTS_API_TOKEN"


def begin_session(services: Services, presented: str, api_token: str) -> str | None:
    """Returns the secret of a new session, for a cookie; None if the text is not a valid token.
    ``api_token`` is that of the settings, or empty."""
    secret = secrets.token_urlsafe(32)
    with services.sessions.begin() as session:
        now = services.clock.now(session)
        session.execute(delete(SessionRow).where(SessionRow.expires_at < now))
        row = None
        if not is_settings_token(presented, api_token):
            row = tokens.find_token(session, presented)
        if row is None and not is_settings_token(presented, api_token):
            return None
        made = SessionRow(
            digest=tokens.hash_secret(secret), created_at=now, expires_at=now + SESSION_LENGTH
        )
        made.token_id, made.proof = (
            (row.id, "") if row else (None, _session_proof(secret, api_token))
        )
        session.add(made)
        actor = SETTINGS_CALLER
        if row:
            actor = tokens.caller_of_row(row).name
        events.record_event(session, now, "session.begun", actor=actor)
    return secret


def caller_of_session(services: Services, secret: str, api_token: str) -> Caller | None:
    """Returns the caller of this session; None if it has ended, or if its token was revoked."""
    with services.sessions() as session:
        row = session.get(SessionRow, tokens.hash_secret(secret))
        if row is None or row.expires_at < services.clock.now(session):
            return None
        if row.token_id is None:
            shown = bool(api_token) and hmac.compare_digest(
                row.proof, _session_proof(secret, api_token)
            )
            if not shown:
                return None
            return Caller(SETTINGS_CALLER, ALL_SCOPES)
        token = session.get_one(TokenRow, row.token_id)
        if token.revoked_at:
            return None
        return tokens.caller_of_row(token)


def end_session(services: Services, secret: str) -> None:
    with services.sessions.begin() as session:
        session.execute(delete(SessionRow).where(SessionRow.digest == tokens.hash_secret(secret)))


def is_settings_token(presented: str, api_token: str) -> bool:
    """In constant time, whatever the lengths."""
    return bool(api_token) and hmac.compare_digest(
        tokens.hash_secret(presented), tokens.hash_secret(api_token)
    )


def _session_proof(secret: str, api_token: str) -> str:
    return hmac.new(secret.encode(), api_token.encode(), "sha256").hexdigest()
