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

from qdrant_rollouts.adapters.write_requests import (
    PAGE,
    BatchMethod,
    OneByOne,
    Selection,
    WriteMethod,
    check_selected,
    ids_of_operations,
    ids_of_points,
    iterate_columns,
    iterate_points,
    options_of_batch,
    read_answer,
    refuse_whole,
    selected_by,
)
from qdrant_rollouts.adapters.writer_desk import DeskOfClient
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.journal.running import run_steps
from qdrant_rollouts.core.journal.writing import FindAlias, Resolve, Send, write_steps
from qdrant_rollouts.core.ports import PointId

Base = qdrant_client.QdrantClient
Method = TypeVar("Method", bound=Callable[..., Any])
#: Yields the batches of an upload with these arguments.
Iterate = Callable[[Mapping[str, Any]], Iterator[list[Any]]]


class Call:
    """One call of a method that changes points."""

    def __init__(
        self, method: WriteMethod, client: Base, given: tuple[Any, ...], named: dict[str, Any]
    ) -> None:
        self._method = method
        self._client = client
        self._given = given
        self._named = named

    def take_step(self, step: Any) -> Any:
        """Does a step of the write and returns its result."""
        match step:
            case Send(_, None):
                call = partial(self._method.original, self._client, *self._given, **self._named)
                return read_answer(call)
            case Send():
                arguments = self._method.redirect_call(self._bind_call(), step)
                return read_answer(partial(self._method.original, self._client, **arguments))
            case Resolve(collection):
                return self._resolve_ids(collection)
            case FindAlias(name):
                found = self._client.get_aliases().aliases
                return any(alias.alias_name == name for alias in found)
            case _:
                return step()

    def _bind_call(self) -> dict[str, Any]:
        return self._method.bind_arguments(self._client, self._given, self._named)

    def _resolve_ids(self, collection: str) -> tuple[PointId, ...]:
        selection = self._method.select(self._bind_call())
        return self._scroll_ids(collection, selection) if selection.filter else selection.ids

    def _scroll_ids(self, collection: str, selection: Selection) -> tuple[PointId, ...]:
        found: list[PointId] = []
        offset: Any = None
        while True:
            records, offset = self._client.scroll(
                collection, selection.filter, PAGE, offset=offset, with_payload=False
            )
            found += [cast("PointId", record.id) for record in records]
            check_selected(self._method.collection_of(self._given, self._named), found)
            if offset is None:
                return tuple(found)


def journal_writes(method: WriteMethod, original: Method) -> Method:
    """Returns the method as it is, but its writes survive a rebuild."""

    @wraps(original)
    def write_points(client: "QdrantClient", *given: Any, **named: Any) -> Any:
        alias = method.collection_of(given, named)
        call = Call(method, client, given, named)
        return run_steps(write_steps(client.desk_of_client.open_desk(), alias), call.take_step)

    return cast("Method", write_points)


def upload_writes(method: WriteMethod, original: Method, iterate: Iterate) -> Method:
    """Returns the upload as it is for all but the aliases that were ever rebuilt with the journal.
    There it sends batch after batch, each of which is a write of its own."""
    whole = journal_writes(method, original)

    @wraps(original)
    def upload_batches(client: "QdrantClient", *given: Any, **named: Any) -> None:
        alias = method.collection_of(given, named)
        with suppress(OneByOne):
            if not _is_managed(client, alias):
                whole(client, *given, **named)
                return
        arguments = method.bind_arguments(client, given, named)
        for batch in iterate(arguments):
            _repeat_write(
                partial(client.upsert, alias, batch, **options_of_batch(arguments)),
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

    upsert = journal_writes(WriteMethod(Base.upsert, ids_of_points), Base.upsert)
    update_vectors = journal_writes(
        WriteMethod(Base.update_vectors, ids_of_points), Base.update_vectors
    )
    delete = journal_writes(
        WriteMethod(Base.delete, selected_by("points_selector"), "points_selector"), Base.delete
    )
    delete_vectors = journal_writes(
        WriteMethod(Base.delete_vectors, selected_by("points"), "points"), Base.delete_vectors
    )
    set_payload = journal_writes(
        WriteMethod(Base.set_payload, selected_by("points"), "points"), Base.set_payload
    )
    overwrite_payload = journal_writes(
        WriteMethod(Base.overwrite_payload, selected_by("points"), "points"),
        Base.overwrite_payload,
    )
    delete_payload = journal_writes(
        WriteMethod(Base.delete_payload, selected_by("points"), "points"), Base.delete_payload
    )
    clear_payload = journal_writes(
        WriteMethod(Base.clear_payload, selected_by("points_selector"), "points_selector"),
        Base.clear_payload,
    )
    _write_batch = journal_writes(
        BatchMethod(Base.batch_update_points, ids_of_operations), Base.batch_update_points
    )
    upload_points = upload_writes(
        WriteMethod(Base.upload_points, refuse_whole), Base.upload_points, iterate_points
    )
    upload_collection = upload_writes(
        WriteMethod(Base.upload_collection, refuse_whole), Base.upload_collection, iterate_columns
    )

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
