"""Commands whose message comes twice: each message begins one thing.

Rule: what a message begins is recorded beside its id in the transaction that begins it. A message
comes again if its worker died before it was acknowledged, or if the database was lost while it
committed. Then it answers what it began. Without that, a second rollback would go one version
further, a second promotion would end the next stage, and a second stop would be refused as if the
first had failed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial, update_wrapper
from inspect import signature
from typing import Any, Concatenate, ParamSpec

from celery import current_task
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.caller_rows import OnceRow
from qdrant_rollouts.core.deployments.commands import InTransaction, do_nothing
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.services import Services

Answer = Mapping[str, Any]
P = ParamSpec("P")
#: Returns the id of what it began, or its answer if it began nothing.
Begin = Callable[Concatenate[Services, InTransaction, P], str | Answer]

#: No caller of the HTTP API has a name with a slash before it.
_CALLER = "/celery"
#: A message that comes again comes within a quarter of an hour.
_KEPT = timedelta(hours=24)


def begin_once(
    describe: Callable[[Services, str], Answer],
) -> Callable[[Begin[P]], Callable[Concatenate[Services, P], Answer]]:
    """Makes a command of a function that begins something. ``describe`` builds the answer from the
    id of what was begun, by this delivery of the message or by the one before."""

    def decorate(begin: Begin[P]) -> Callable[Concatenate[Services, P], Answer]:
        def command(services: Services, /, *args: P.args, **arguments: P.kwargs) -> Answer:
            begun = _find_begun(services)
            if begun is not None:
                return describe(services, begun)
            try:
                answer = begin(services, _note_message(services), *args, **arguments)
            except (AppError, IntegrityError):
                begun = _find_begun(services)  # another worker has the same message
                if begun is None:
                    raise
                return describe(services, begun)
            return describe(services, answer) if isinstance(answer, str) else answer

        takes = signature(begin)
        kept = [one for name, one in takes.parameters.items() if name != "along"]
        update_wrapper(command, begin)
        command.__dict__["__signature__"] = takes.replace(parameters=kept)
        return command

    return decorate


def _find_begun(services: Services) -> str | None:
    message = _find_message()
    if message is None:
        return None
    with services.sessions() as session:
        mine = OnceRow.caller == _CALLER, OnceRow.key == message
        return session.scalar(select(OnceRow.started).where(*mine))


def _note_message(services: Services) -> InTransaction:
    message = _find_message()
    if message is None:
        return do_nothing
    return partial(_note_begun, services, message)


def _find_message() -> str | None:
    """Returns a name for the message that is worked at, if a message gave the command. The id alone
    would not do: an application may choose it, and use it again for something else."""
    if not current_task or not current_task.request.id:
        return None
    request = current_task.request
    content = json.dumps([current_task.name, request.args, request.kwargs], default=str)
    return f"{request.id} {hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _note_begun(services: Services, message: str, session: Session, id: str) -> None:
    now = services.clock.now(session)
    old = delete(OnceRow).where(OnceRow.caller == _CALLER, OnceRow.created_at < now - _KEPT)
    session.execute(old)
    session.add(
        OnceRow(caller=_CALLER, key=message, digest="", lease_until=now, started=id, created_at=now)
    )
