"""Commands whose message comes twice: each message begins one thing.

Rule: what a message begins is recorded beside its id in the transaction that begins it. A message
comes again if its worker died before it was acknowledged, or if the database was lost while it
committed. Then it answers what it began. Without that, a second rollback would go one version
further, and a second promotion would end the next stage.
"""

from collections.abc import Callable
from datetime import timedelta

from celery import current_task
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.caller_rows import OnceRow
from qdrant_rollouts.core.deployments.commands import InTransaction, do_nothing
from qdrant_rollouts.core.services import Services

#: No caller of the HTTP API has a name with a slash before it.
_CALLER = "/celery"
#: A message that comes again comes within a quarter of an hour.
_KEPT = timedelta(hours=24)


def begin_once(services: Services, begin: Callable[[InTransaction], str]) -> str:
    """Returns the id of what ``begin`` has begun, or of what this message began before."""
    message = current_task.request.id if current_task else None
    if not message:
        return begin(do_nothing)
    with services.sessions() as session:
        mine = OnceRow.caller == _CALLER, OnceRow.key == message
        begun = session.scalar(select(OnceRow.started).where(*mine))
    if begun is not None:
        return begun
    return begin(lambda session, id: _note_begun(services, session, message, id))


def _note_begun(services: Services, session: Session, message: str, id: str) -> None:
    now = services.clock.now(session)
    old = delete(OnceRow).where(OnceRow.caller == _CALLER, OnceRow.created_at < now - _KEPT)
    session.execute(old)
    session.add(
        OnceRow(caller=_CALLER, key=message, digest="", lease_until=now, started=id, created_at=now)
    )
