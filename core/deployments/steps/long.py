"""Work that cannot be divided into turns: an upload in one request, a checksum, a request that the
server answers when it is done."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.step_data import Progress, StepState
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.errors import OutcomeUnknown
from qdrant_rollouts.core.lifecycle import Event

log = logging.getLogger(__name__)

#: Seconds between two progress updates.
_PROGRESS_SECONDS = 1.0
#: Seconds between two looks at whether the turn is still wanted.
_LOOK_SECONDS = 0.5
Answer = TypeVar("Answer")


def stream_with_progress(
    context: StepContext, state: StepState, size: int, pieces: Iterable[bytes]
) -> Iterator[bytes]:
    """Yields ``pieces``, which have ``size`` bytes together. Before each piece, and at the end, it
    checks that the turn is still ours and extends it. It saves the progress together with
    ``state``."""
    done = 0
    started = time.monotonic()
    told = time.monotonic()
    for piece in pieces:
        context.turn.check(ACT_SECONDS)
        context.turn.prolong()
        yield piece
        done += len(piece)
        if time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            progress = Progress(
                done=done, size=size, unit="bytes", rate=round(done / (told - started), 1)
            )
            context.save(replace(state, progress=progress))
    context.turn.check(ACT_SECONDS)


def await_answer(context: StepContext, ask: Callable[[], Answer], seconds: float) -> Answer | None:
    """Returns the answer to ``ask``, which may come after up to ``seconds``. Returns None as soon
    as somebody has asked for an abort. Raises what ``ask`` raises, LeaseLost if the turn is ours no
    longer, and OutcomeUnknown if there is no answer in time: the server may still do what it was
    asked for, at any later time."""
    asked: Future[Answer] = Future()
    name = f"asks-for-{context.deployment.id}"
    threading.Thread(target=_keep_answer, args=(asked, ask), name=name, daemon=True).start()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if wait([asked], _LOOK_SECONDS).done:
            return asked.result()
        context.turn.check(ACT_SECONDS)
        context.turn.prolong()
        if _is_abort_requested(context):
            return None
    raise OutcomeUnknown(f"there was no answer within {seconds:g} s")


def _keep_answer(asked: Future[Answer], ask: Callable[[], Answer]) -> None:
    try:
        asked.set_result(ask())
    except BaseException as error:  # noqa: BLE001 - whoever waits raises it
        asked.set_exception(error)


def _is_abort_requested(context: StepContext) -> bool:
    """If the database does not answer, this is not known, and the next look asks again."""
    query = select(Deployment.requested).where(Deployment.id == context.deployment.id)
    try:
        with context.services.sessions() as session:
            return session.scalar(query) == Event.ABORT
    except SQLAlchemyError as error:
        log.warning("%s: an abort cannot be seen: %s", context.deployment.id, type(error).__name__)
        return False
