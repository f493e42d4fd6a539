"""qdrant-client's own client, whose writes survive the rebuild of an index.

Rule: it overrides the methods that change points, and nothing else. Without a rebuild a write goes
out as it was given. What goes around these methods, such as ``client.http`` or ``grpc_points``, is
not seen.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial, wraps
from typing import Any, TypeVar, cast

import qdrant_client
from qdrant_client.http.exceptions import ResponseHandlingException

from qdrant_rollouts.adapters.write_methods import MethodCall, find_method
from qdrant_rollouts.adapters.write_requests import (
    PAGE,
    OneByOne,
    check_selected,
    iterate_columns,
    iterate_points,
    options_of_batch,
    read_answer,
)
from qdrant_rollouts.adapters.writer_desk import DeskOfClient
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.journal.running import run_steps
from qdrant_rollouts.core.journal.writing import FindAlias, Resolve, Send, Sent, write_steps
from qdrant_rollouts.core.ports import PointId

Base = qdrant_client.QdrantClient
Method = TypeVar("Method", bound=Callable[..., Any])
#: Yields the batches of an upload with these arguments.
Iterate = Callable[[Mapping[str, Any]], Iterator[list[Any]]]


class Call(MethodCall):
    """A call whose requests block."""

    def take_step(self, step: Any) -> Any:
        """Does a step of the write and returns its result."""
        match step:
            case Send(_, None):
                return self._send_request(self.given, self.named)
            case Send():
                return self._send_request((), self.redirect(step))
            case Resolve(collection):
                return self._resolve_ids(collection)
            case FindAlias(name):
                found = self.client.get_aliases().aliases
                return any(alias.alias_name == name for alias in found)
            case _:
                return step()

    def _send_request(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> Sent:
        return read_answer(partial(self.method.original, self.client, *given, **named))

    def _resolve_ids(self, collection: str) -> tuple[PointId, ...]:
        selection = self.select()
        if selection.filter is None:
            return selection.ids
        found: list[PointId] = []
        offset: Any = None
        while True:
            records, offset = self.client.scroll(
                collection, selection.filter, PAGE, offset=offset, with_payload=False
            )
            found += [cast("PointId", record.id) for record in records]
            check_selected(self.alias, found)
            if offset is None:
                return tuple(found)


def journal_writes(original: Method) -> Method:
    """Returns the method as it is, but its writes survive a rebuild."""
    method = find_method(original)

    @wraps(original)
    def write_points(client: "QdrantClient", *given: Any, **named: Any) -> Any:
        call = Call(method, client, given, named)
        desk = client.desk_of_client.open_desk()
        return run_steps(write_steps(desk, call.alias), call.take_step)

    return cast("Method", write_points)


def upload_writes(original: Method, iterate: Iterate) -> Method:
    """Returns the upload as it is for all but the aliases that were ever rebuilt with the journal.
    There it sends batch after batch, each of which is a write of its own."""
    method = find_method(original)
    whole = journal_writes(original)

    @wraps(original)
    def upload_batches(client: "QdrantClient", *given: Any, **named: Any) -> None:
        call = MethodCall(method, client, given, named)
        with suppress(OneByOne):
            if not _is_managed(client, call.alias):
                whole(client, *given, **named)
                return
        arguments = call.bind_arguments()
        for batch in iterate(arguments):
            _repeat_write(
                partial(client.upsert, call.alias, batch, **options_of_batch(arguments)),
                arguments.get("max_retries", 3),
            )

    return cast("Method", upload_batches)


def _is_managed(client: "QdrantClient", alias: str) -> bool:
    """The write itself says what is wrong if the database does not answer."""
    try:
        return client.desk_of_client.open_desk().manages_alias(alias)
    except Unavailable:
        return False


def _repeat_write(write: Callable[[], Any], most: int) -> None:
    """A write of whole points can be repeated."""
    for left in reversed(range(max(1, most))):
        try:
            write()
        except (Unavailable, ResponseHandlingException):
            if not left:
                raise
        else:
            return


class QdrantClient(Base):
    """``qdrant_client.QdrantClient``, with the same arguments, used with the alias of an index. It
    finds the database by ``ROLLOUTS_DATABASE_URL``.

    While a rebuild with ``writes: journal`` captures, writes may raise, besides what the client
    raises: OutcomeUnknown if a write must be repeated, Unavailable if it was not sent, and Refused
    if a filter selects too many points.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        self.desk_of_client = DeskOfClient()
        super().__init__(*given, **named)

    def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:
        super().close(grpc_grace, **kwargs)
        self.desk_of_client.close()

    upsert = journal_writes(Base.upsert)
    update_vectors = journal_writes(Base.update_vectors)
    delete = journal_writes(Base.delete)
    delete_vectors = journal_writes(Base.delete_vectors)
    set_payload = journal_writes(Base.set_payload)
    overwrite_payload = journal_writes(Base.overwrite_payload)
    delete_payload = journal_writes(Base.delete_payload)
    clear_payload = journal_writes(Base.clear_payload)
    _write_batch = journal_writes(Base.batch_update_points)
    upload_points = upload_writes(Base.upload_points, iterate_points)
    upload_collection = upload_writes(Base.upload_collection, iterate_columns)

    def batch_update_points(
        self, collection_name: str, update_operations: Any, *given: Any, **named: Any
    ) -> list[Any]:
        """While a rebuild captures, operations by a filter are sent one after the other."""
        try:
            return self._write_batch(collection_name, update_operations, *given, **named)
        except OneByOne:
            return [
                result
                for one in update_operations
                for result in self._write_batch(collection_name, [one], *given, **named)
            ]
