"""The task by which applications write records: the same as over HTTP, by message.

Messages may be done twice and in any order. A write that cannot be done now goes back to its queue,
because whoever sent it may not wait for an answer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from celery import Celery
from celery.exceptions import Ignore

from qdrant_rollouts.adapters.broker_errors import BROKER_AWAY
from qdrant_rollouts.adapters.celery import give_back
from qdrant_rollouts.adapters.writer_desk import DeskOfClient
from qdrant_rollouts.core.answers.records import Written
from qdrant_rollouts.core.errors import Malformed, Misconfigured, OtherRelease, Unavailable
from qdrant_rollouts.core.journal.desk import WriterDesk
from qdrant_rollouts.core.records import commands
from qdrant_rollouts.core.services import Services

WRITE = "indexes.write_records"
#: Its workers load models.
QUEUE = "bulk"
#: In the header of a message that was sent on to ``QUEUE``.
_SENT_ON = "rollouts_sent_on"

Answer = Mapping[str, Any]


def write_records(
    services: Services,
    alias_name: str,
    action: Literal["upsert", "patch", "delete"] = "upsert",
    records: Sequence[Mapping[str, Any]] | None = None,
    ids: Sequence[int | str] | None = None,
) -> Answer:
    _check_arguments(action, records, ids)
    try:
        with _open_desk(services) as desk:
            return _write(services, desk, alias_name, action, records or ids or ())
    except (Misconfigured, OtherRelease):
        raise
    except Unavailable as error:
        raise give_back(str(error), counted=True) from None


COMMANDS: dict[str, Callable[..., Answer]] = {WRITE: write_records}


def register_writes(app: Celery, run: Callable[..., Answer]) -> None:
    def write(self: Any, **arguments: Any) -> Answer:
        if _is_elsewhere(self.request):
            _send_on(app, self.request, arguments)
            raise Ignore
        return run(**arguments)

    app.task(write, name=WRITE, bind=True, ignore_result=False, shared=False)


def _is_elsewhere(request: Any) -> bool:
    """Returns whether a worker without models has the message: applications may not know of queues,
    and send to the one of all commands."""
    queue = (request.delivery_info or {}).get("routing_key")
    return queue not in (None, QUEUE) and not (request.headers or {}).get(_SENT_ON)


def _send_on(app: Celery, request: Any, arguments: Mapping[str, Any]) -> None:
    """The message keeps its id, so that its sender finds the answer. Records are not shown in
    Flower."""
    try:
        app.send_task(
            WRITE,
            kwargs=dict(arguments),
            queue=QUEUE,
            task_id=request.id,
            root_id=request.root_id,
            headers={_SENT_ON: True},
            kwargsrepr="",
            ignore_result=request.ignore_result,
        )
    except BROKER_AWAY as error:
        raise give_back(f"it was not sent on to {QUEUE}: {type(error).__name__}") from None


@contextmanager
def _open_desk(services: Services) -> Iterator[WriterDesk]:
    """For one message only: a worker's child that renewed a lease for ever would be waited for."""
    desk = DeskOfClient(services.engine.url.render_as_string(hide_password=False))
    try:
        yield desk.open_desk()
    finally:
        desk.close()


def _check_arguments(action: str, records: Sequence[Any] | None, ids: Sequence[Any] | None) -> None:
    wanted = "ids" if action == "delete" else "records"
    given = [name for name, value in (("records", records), ("ids", ids)) if value is not None]
    if given != [wanted]:
        raise Malformed(
            f"arguments: {action} takes {wanted} and nothing else; found "
            f"{' and '.join(given) or 'neither records nor ids'}"
        )


def _write(
    services: Services, desk: WriterDesk, alias: str, action: str, given: Sequence[Any]
) -> Written:
    match action:
        case "upsert":
            return commands.upsert_records(services, desk, alias, given)
        case "patch":
            return commands.patch_records(services, desk, alias, given)
        case _:
            return commands.delete_records(services, desk, alias, given)
