"""Points on their way to and from a vector store: checked, as arrays inside, as JSON outside."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import FloatArray, Point, ServerText, Vector

#: Maximum points and bytes of one request; the server's limit is 32 MB (qdrant-facts 5.7, 8.2).
MOST_POINTS = 256
MOST_BYTES = 8_000_000

Item = TypeVar("Item")
#: float32[size], float32[rows, size] of a multivector, a sparse vector's ``indices`` and
#: ``values``, or the text from which the server makes one.
OneVector = FloatArray | dict[str, Any] | ServerText


def check_vectors(point: Point) -> OneVector | dict[str, OneVector]:
    """Returns the point's vectors as arrays: one, or by name. Raises Refused if one is not an array
    of finite numbers."""
    if isinstance(point.vector, Mapping):
        return {
            name: as_vector(_vector_label(point, name), vector)
            for name, vector in point.vector.items()
        }
    return as_vector(_vector_label(point, ""), point.vector)


def point_to_json(point: Point) -> dict[str, Any]:
    """Returns the point in REST's form.

    Numbers of a dense vector are written as floats even if they are integers: the server reads a
    multivector of two rows whose first has only integers as a sparse vector (measured on 1.16.3).
    """
    vectors = check_vectors(point)
    if isinstance(vectors, dict):
        found = {name: vector_to_json(one) for name, one in vectors.items()}
    else:
        found = vector_to_json(vectors)
    return {"id": point.id, "vector": found, "payload": point.payload}


def point_to_bytes(point: Point) -> bytes:
    """Returns the point as JSON text. Raises Refused if its payload cannot be written as JSON."""
    try:
        return json.dumps(point_to_json(point), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"point {point.id}: its payload is not JSON: {error}") from error


def point_from_json(record: Mapping[str, Any]) -> Point:
    """Converts a point from REST's form."""
    vector: Any = record.get("vector") or {}
    arrays: Vector = (
        {name: _as_array(one) for name, one in vector.items()}
        if isinstance(vector, dict)
        else _as_array(vector)
    )
    return Point(record["id"], arrays, record.get("payload") or {})


def split_batches(
    items: Iterable[Item], size: Callable[[Item], int], most: int = MOST_POINTS
) -> Iterator[list[Item]]:
    """Yields ``items`` in lists of at most ``most``, each of about ``MOST_BYTES`` at most unless a
    single item is larger."""
    batch: list[Item] = []
    filled = 0
    for item in items:
        length = size(item)
        if batch and (len(batch) >= most or filled + length > MOST_BYTES):
            yield batch
            batch = []
            filled = 0
        batch.append(item)
        filled += length
    if batch:
        yield batch


def next_page_size(points: int, size: int, most: int) -> int:
    """Returns how many points the next page may have, from the ``size`` in bytes of the last
    one."""
    return max(1, min(most, MOST_BYTES * points // max(size, 1)))


def _vector_label(point: Point, name: str) -> str:
    return f"point {point.id}, vector {name or 'unnamed'}"


def as_vector(where: str, vector: Any) -> OneVector:
    """Converts a vector of any kind. Raises Refused, beginning with ``where``, if it is not one, or
    not of finite numbers."""
    if isinstance(vector, ServerText):
        return vector
    if isinstance(vector, Mapping):
        if set(vector) != {"indices", "values"}:
            raise Refused(
                f"{where}: expected a list of numbers, or indices and values; found keys "
                f"{sorted(vector)}"
            )
        values = as_numbers(where, vector["values"])
        return {"indices": [int(index) for index in vector["indices"]], "values": values.tolist()}
    return as_numbers(where, vector)


def as_numbers(where: str, vector: Any) -> FloatArray:
    """float32[size] or float32[rows, size]. Raises Refused, beginning with ``where``, for other
    shapes and numbers that are not finite."""
    try:
        # a number too large for float32 becomes infinite, which is refused below
        with np.errstate(over="ignore"):
            array = np.asarray(vector, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise Refused(f"{where}: expected a list of numbers: {error}") from error
    if array.ndim not in (1, 2) or not np.isfinite(array).all():
        raise Refused(f"{where}: expected one or two dimensions of finite numbers")
    return array


def vector_to_json(vector: OneVector) -> Any:
    if isinstance(vector, ServerText):
        return {"text": vector.text, "model": vector.model, "options": dict(vector.options)}
    if isinstance(vector, dict):
        return vector
    return vector.tolist()


def _as_array(vector: Any) -> Any:
    if isinstance(vector, dict):
        return vector
    return np.asarray(vector, dtype=np.float32)
