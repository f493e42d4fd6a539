"""What a write of qdrant-client's selects, and what its answer means."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import grpc
import httpx
import numpy as np
from qdrant_client import grpc as messages
from qdrant_client import models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.conversions.conversion import GrpcToRest
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_client.uploader.uploader import BaseUploader

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.journal.bounds import BOUNDS
from qdrant_rollouts.core.journal.writing import Sent
from qdrant_rollouts.core.ports import PointId

#: Points that are asked for at once while a filter becomes ids.
PAGE = 5_000
#: A request with one of these has ended; with any other it may still be applied.
_ENDED_CODES = {
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
}
_REQUEST_TIMEOUT = 408
#: Selects nothing, and is no error (qdrant-facts 6.1).
NOTHING = models.FilterSelector(filter=models.Filter(must=[models.HasIdCondition(has_id=[])]))


class OneByOne(Exception):
    """The write is several, which must be sent one after the other while a rebuild captures."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The points of a write: their ids, or a filter. ``replace`` puts ids in the filter's place."""

    ids: tuple[PointId, ...]
    filter: models.Filter | None = None


#: Takes the arguments of a call and returns what it selects.
Select = Callable[[Mapping[str, Any]], Selection]


def ids_of_points(arguments: Mapping[str, Any]) -> Selection:
    return Selection(_ids_of(arguments["points"]))


def selected_by(name: str) -> Select:
    return lambda arguments: split_selector(arguments[name])


def split_selector(selector: Any) -> Selection:
    """Reads every form in which a client accepts a selector. Raises ValueError for another."""
    if isinstance(selector, messages.PointsSelector):
        return split_selector(GrpcToRest.convert_points_selector(selector))
    if isinstance(selector, messages.Filter):
        return Selection((), GrpcToRest.convert_filter(selector))
    if isinstance(selector, models.Filter):
        return Selection((), selector)
    if isinstance(selector, models.FilterSelector):
        return Selection((), selector.filter)
    if isinstance(selector, models.PointIdsList):
        return Selection(tuple(map(as_id, selector.points)))
    if isinstance(selector, Sequence):
        return Selection(tuple(map(as_id, selector)))
    raise ValueError(f"Unsupported points selector type: {type(selector)}")


def ids_of_operations(arguments: Mapping[str, Any]) -> Selection:
    """The ids of all operations of a batch; or, if it is one operation by a filter, its filter.
    Raises OneByOne if it is several and one has a filter, because that may depend on those before
    it."""
    found = [_select_of_operation(one) for one in arguments["update_operations"]]
    filtered = any(one.filter is not None for one in found)
    if filtered and len(found) > 1:
        raise OneByOne
    if filtered:
        return found[0]
    return Selection(tuple(one for part in found for one in part.ids))


def refuse_whole(arguments: Mapping[str, Any]) -> Selection:
    """An upload is many writes."""
    raise OneByOne


def as_id(value: Any) -> PointId:
    """Returns the id as Qdrant tells it: a number, or a UUID in its usual form."""
    if isinstance(value, messages.PointId):
        return as_id(GrpcToRest.convert_point_id(value))
    if isinstance(value, UUID):
        return str(value)
    return int(value) if isinstance(value, int) else str(UUID(value))


def read_answer(send: Callable[[], Any]) -> Sent:
    """Sends a request and says what its answer means."""
    try:
        result = send()
    except Exception as error:  # noqa: BLE001  # kept, and raised again by whoever asked
        return Sent(has_ended(error), error=error)
    return read_result(result)


def read_result(result: Any) -> Sent:
    """A server that has stopped waiting may still apply the write."""
    results = result if isinstance(result, list) else [result]
    late = any(getattr(one, "status", None) is models.UpdateStatus.WAIT_TIMEOUT for one in results)
    return Sent(ended=not late, result=result)


def has_ended(error: BaseException) -> bool:
    """Returns whether a request that failed can change nothing any more."""
    if isinstance(error, UnexpectedResponse):
        status = error.status_code or 0
        return 400 <= status < 500 and status != _REQUEST_TIMEOUT
    if isinstance(error, ResponseHandlingException):
        return isinstance(error.source, httpx.ConnectError)
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", None)
        return code is not None and code() in _ENDED_CODES
    # The first is qdrant-client's word for 429; the others mean that there is no request, or that
    # its answer was read.
    return isinstance(error, ResourceExhaustedResponse | ValueError | TypeError)


def iterate_points(arguments: Mapping[str, Any]) -> Iterator[list[models.PointStruct]]:
    """Yields the batches of ``upload_points``."""
    size = arguments.get("batch_size", 64)
    for ids, vectors, payloads in BaseUploader.iterate_records_batches(arguments["points"], size):
        yield _make_points(ids, vectors, payloads)


def iterate_columns(arguments: Mapping[str, Any]) -> Iterator[list[models.PointStruct]]:
    """Yields the batches of ``upload_collection``."""
    for some_ids, some_vectors, some_payloads in BaseUploader.iterate_batches(
        arguments["vectors"],
        arguments.get("payload"),
        arguments.get("ids"),
        arguments.get("batch_size", 64),
    ):
        rows = list(some_vectors)
        yield _make_points(
            some_ids or [str(uuid4()) for _ in rows], rows, some_payloads or [None] * len(rows)
        )


def options_of_batch(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of an upload that each of its batches has too."""
    names = ("wait", "shard_key_selector", "update_filter", "update_mode")
    given = {name: arguments[name] for name in names if arguments.get(name) is not None}
    return {"wait": False, **given}


def check_selected(alias: str, found: Sequence[PointId]) -> None:
    """Raises Refused for more points than a write may have while a rebuild captures."""
    most = BOUNDS.most_selected
    if len(found) > most:
        raise Refused(
            f"a rebuild of {alias} captures writes, and this filter selects more than {most:,} "
            f"points; scroll the ids and write them in pieces of {most:,} or fewer, or wait until "
            "the rebuild has ended"
        )


def _make_points(
    ids: Iterable[Any], vectors: Iterable[Any], payloads: Iterable[Any]
) -> list[models.PointStruct]:
    return [
        models.PointStruct(id=one, vector=_as_lists(vector), payload=payload)
        for one, vector, payload in zip(ids, vectors, payloads, strict=False)
    ]


def _as_lists(vector: Any) -> Any:
    if isinstance(vector, np.ndarray):
        return vector.tolist()
    if isinstance(vector, dict):
        return {name: _as_lists(one) for name, one in vector.items()}
    return vector


def _ids_of(points: Any) -> tuple[PointId, ...]:
    if isinstance(points, models.Batch):
        return tuple(map(as_id, points.ids))
    return tuple(as_id(point.id) for point in points)


def _field_of(operation: Any) -> str:
    """Each kind of operation has one field, which holds what it does."""
    (name,) = type(operation).model_fields
    return str(name)


def select_ids(operation: Any, ids: list[Any]) -> Any:
    """Returns the operation with ids in its filter's place."""
    name = _field_of(operation)
    act = getattr(operation, name)
    if isinstance(act, models.FilterSelector):
        changed: Any = models.PointIdsList(points=ids) if ids else NOTHING
    elif ids:
        changed = act.model_copy(update={"points": ids, "filter": None})
    else:
        changed = act.model_copy(update={"filter": NOTHING.filter})
    return operation.model_copy(update={name: changed})


def _select_of_operation(operation: Any) -> Selection:
    act = getattr(operation, _field_of(operation))
    if isinstance(act, models.PointsBatch):
        return Selection(_ids_of(act.batch))
    if isinstance(act, models.PointsList | models.UpdateVectors):
        return Selection(_ids_of(act.points))
    if isinstance(act, models.FilterSelector | models.PointIdsList):
        return split_selector(act)
    if act.points is not None:
        return Selection(tuple(map(as_id, act.points)))
    return Selection((), act.filter)
