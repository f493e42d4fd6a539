"""The journal of events. An event is written in the transaction of what it reports: every status
change, step result, command, switch and deletion."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import EventRow
from qdrant_rollouts.core.sanitize.redaction import redact

SYSTEM = "system"
#: What the caller who starts a deployment is told at once.
WARNING = "warning"
_through: ContextVar[str] = ContextVar("through", default="python")


@contextmanager
def use_source(source: str) -> Iterator[None]:
    """Sets the ``source`` of events written inside: cli, celery (a task or a turn), beat (a sweep).
    The default is python: code that calls this package directly. Threads started inside do not
    inherit it."""
    token = _through.set(source)
    try:
        yield
    finally:
        _through.reset(token)


def current_source() -> str:
    return _through.get()


def record_event(
    session: Session,
    now: datetime,
    event: str,
    detail: str = "",
    *,
    actor: str = SYSTEM,
    reason: str = "",
    deployment_id: str | None = None,
    alias: str | None = None,
) -> None:
    session.add(
        EventRow(
            at=now,
            event=event,
            detail=redact(detail),
            actor=actor,
            reason=reason,
            source=current_source(),
            deployment_id=deployment_id,
            alias=alias,
        )
    )
