"""``AsyncQdrantClient``: see ``writing_client``. Requests are awaited; the database is asked in a
thread."""

import asyncio
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

import qdrant_client

from qdrant_rollouts.adapters.write_methods import MethodCall, find_method
from qdrant_rollouts.adapters.write_requests import (
    PAGE,
    OneByOne,
    check_selected,
    has_ended,
    read_result,
)
from qdrant_rollouts.adapters.writer_desk import DeskOfClient
from qdrant_rollouts.adapters.writing_client import QdrantClient
from qdrant_rollouts.core.journal.running import Pause, await_steps
from qdrant_rollouts.core.journal.writing import FindAlias, Resolve, Send, Sent, write_steps
from qdrant_rollouts.core.ports import PointId

Base = qdrant_client.AsyncQdrantClient
Method = TypeVar("Method", bound=Callable[..., Any])


class AsyncCall(MethodCall):
    """A call whose requests are awaited."""

    async def take_step(self, step: Any) -> Any:
        """As ``writing_client.Call.take_step``."""
        match step:
            case Send(_, None):
                return await self._send_request(self.given, self.named)
            case Send():
                return await self._send_request((), self.redirect(step))
            case Resolve(collection):
                return await self._resolve_ids(collection)
            case FindAlias(name):
                found = (await self.client.get_aliases()).aliases
                return any(alias.alias_name == name for alias in found)
            case Pause(seconds):
                await asyncio.sleep(seconds)
                return None
            case _:
                return await asyncio.to_thread(step)

    async def _send_request(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> Sent:
        try:
            result = await self.method.original(self.client, *given, **named)
        except Exception as error:  # noqa: BLE001  # kept, and raised again by whoever asked
            return Sent(has_ended(error), error=error)
        return read_result(result)

    async def _resolve_ids(self, collection: str) -> tuple[PointId, ...]:
        selection = self.select()
        if selection.filter is None:
            return selection.ids
        found: list[PointId] = []
        offset: Any = None
        while True:
            records, offset = await self.client.scroll(
                collection, selection.filter, PAGE, offset=offset, with_payload=False
            )
            found += [cast("PointId", record.id) for record in records]
            check_selected(self.alias, found)
            if offset is None:
                return tuple(found)


def journal_writes(original: Method) -> Method:
    """As ``writing_client.journal_writes``."""
    method = find_method(original)

    @wraps(original)
    async def write_points(client: "AsyncQdrantClient", *given: Any, **named: Any) -> Any:
        call = AsyncCall(method, client, given, named)
        desk = client.desk_of_client.open_desk()
        return await await_steps(write_steps(desk, call.alias), call.take_step)

    return cast("Method", write_points)


def upload_writes(original: Method) -> Method:
    """Uploads of this client block, as qdrant-client's do: the other client does them."""

    @wraps(original)
    def upload_batches(client: "AsyncQdrantClient", *given: Any, **named: Any) -> None:
        other = QdrantClient(**client.init_options)
        try:
            getattr(other, original.__name__)(*given, **named)
        finally:
            other.close()

    return cast("Method", upload_batches)


class AsyncQdrantClient(Base):
    """``qdrant_client.AsyncQdrantClient``; see ``QdrantClient``."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.desk_of_client = DeskOfClient()
        super().__init__(*given, **named)

    async def close(self, grpc_grace: float | None = None, **kwargs: Any) -> None:
        await super().close(grpc_grace, **kwargs)
        await asyncio.to_thread(self.desk_of_client.close)

    upsert = journal_writes(Base.upsert)
    update_vectors = journal_writes(Base.update_vectors)
    delete = journal_writes(Base.delete)
    delete_vectors = journal_writes(Base.delete_vectors)
    set_payload = journal_writes(Base.set_payload)
    overwrite_payload = journal_writes(Base.overwrite_payload)
    delete_payload = journal_writes(Base.delete_payload)
    clear_payload = journal_writes(Base.clear_payload)
    _write_batch = journal_writes(Base.batch_update_points)
    upload_points = upload_writes(Base.upload_points)
    upload_collection = upload_writes(Base.upload_collection)

    async def batch_update_points(
        self, collection_name: str, update_operations: Any, *given: Any, **named: Any
    ) -> list[Any]:
        """While a rebuild captures, operations by a filter are sent one after the other."""
        try:
            return await self._write_batch(collection_name, update_operations, *given, **named)
        except OneByOne:
            return [
                result
                for one in update_operations
                for result in await self._write_batch(collection_name, [one], *given, **named)
            ]
