"""Qdrant's gRPC messages: converts points to and from them."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from qdrant_client import grpc as pb

from qdrant_rollouts.adapters.qdrant_points import OneVector, check_vectors
from qdrant_rollouts.core.ports import FloatArray, Point, PointId, ServerText
from qdrant_rollouts.core.sanitize.quoting import quote_value

EVERYTHING = pb.WithPayloadSelector(enable=True)
_SCALARS = {bool: "bool_value", int: "integer_value", float: "double_value", str: "string_value"}
_PLAIN = frozenset(_SCALARS.values())
#: A ``Value`` with a double from 2^63 to 2^64: the server's form of such an integer, because gRPC
#: has int64. A chance match in other bytes only costs a look at single points.
_ROUNDED = re.compile(rb"\x11.{6}[\xe0-\xf0]\x43", re.DOTALL)


def select_payload(wanted: bool | Sequence[str]) -> Any:
    if isinstance(wanted, bool):
        return pb.WithPayloadSelector(enable=wanted)
    return pb.WithPayloadSelector(include=pb.PayloadIncludeSelector(fields=wanted))


def find_rounded(raw: bytes, points: Sequence[Any]) -> set[PointId]:
    """Returns those of the points in ``raw`` whose payload seems to contain a rounded integer."""
    if not _ROUNDED.search(raw):
        return set()
    return {
        decode_id(point.id)
        for point in points
        if any(_ROUNDED.search(value.SerializeToString()) for value in point.payload.values())
    }


def add_point(request: Any, point: Any) -> None:
    """Adds a point that was read to those to be written; the two forms differ only in the payload's
    field number."""
    added = request.points.add()
    added.id.CopyFrom(point.id)
    for field, value in point.payload.items():
        added.payload[field].CopyFrom(value)
    added.vectors.MergeFromString(point.vectors.SerializeToString())


def next_offset(page: Any) -> PointId | None:
    if not page.HasField("next_page_offset"):
        return None
    return decode_id(page.next_page_offset)


def encode_id(one: PointId) -> Any:
    if isinstance(one, int):
        return pb.PointId(num=one)
    return pb.PointId(uuid=one)


def decode_id(one: Any) -> PointId:
    identity: PointId = one.uuid if one.WhichOneof("point_id_options") == "uuid" else one.num
    return identity


def encode_point(point: Point) -> Any:
    """Raises Refused for a vector; ValueError, TypeError or RecursionError for a payload that gRPC
    cannot hold."""
    vectors = check_vectors(point)
    if isinstance(vectors, dict):
        named = pb.NamedVectors(
            vectors={name: _encode_vector(one) for name, one in vectors.items()}
        )
        both = pb.Vectors(vectors=named)
    else:
        both = pb.Vectors(vector=_encode_vector(vectors))
    payload = {field: _encode_value(value) for field, value in point.payload.items()}
    return pb.PointStruct(id=encode_id(point.id), payload=payload, vectors=both)


def decode_point(point: Any) -> Point:
    payload = _decode_fields(point.payload)
    kind = point.vectors.WhichOneof("vectors_options")
    if kind is None:  # none was asked for; to look for names takes as long as the payload
        return Point(decode_id(point.id), {}, payload)
    if kind == "vector":
        return Point(decode_id(point.id), _decode_vector(point.vectors.vector), payload)
    named = {name: _decode_vector(vector) for name, vector in point.vectors.vectors.vectors.items()}
    return Point(decode_id(point.id), named, payload)


def _encode_vector(vector: OneVector) -> Any:
    if isinstance(vector, ServerText):
        options = {key: _encode_value(value) for key, value in vector.options.items()}
        return pb.Vector(
            document=pb.Document(text=vector.text, model=vector.model, options=options)
        )
    if isinstance(vector, dict):
        return pb.Vector(sparse=pb.SparseVector(**vector))
    if vector.ndim == 2:
        return pb.Vector(
            multi_dense=pb.MultiDenseVector(vectors=[_encode_dense(row) for row in vector])
        )
    return pb.Vector(dense=_encode_dense(vector))


def _encode_dense(row: FloatArray) -> Any:
    return pb.DenseVector(data=row.tolist())  # a list is converted five times as fast as an array


def _encode_value(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not JSON")
    if type(value) in _SCALARS:
        return pb.Value(**{_SCALARS[type(value)]: value})
    if value is None:
        return pb.Value(null_value=pb.NULL_VALUE)
    if isinstance(value, dict):
        return pb.Value(
            struct_value=pb.Struct(fields={key: _encode_value(one) for key, one in value.items()})
        )
    if isinstance(value, list | tuple):
        return pb.Value(list_value=pb.ListValue(values=[_encode_value(one) for one in value]))
    raise TypeError(f"{quote_value(value)} is not JSON")


def _decode_fields(fields: Any) -> dict[str, Any]:
    return {name: _decode_value(fields[name]) for name in fields}  # twice as fast as its items()


def _decode_value(value: Any) -> Any:
    """As the client's own conversion, which goes through JSON and takes six times as long."""
    kind = value.WhichOneof("kind")
    if kind in _PLAIN:
        return getattr(value, kind)
    if kind == "struct_value":
        return _decode_fields(value.struct_value.fields)
    if kind == "list_value":
        return [_decode_value(one) for one in value.list_value.values]
    return None


def _decode_vector(vector: Any) -> FloatArray | dict[str, Any]:
    """Servers send a vector in one of two forms: by its kind, or flat with its indices or its
    number of rows."""
    kind = vector.WhichOneof("vector")
    if kind == "sparse":
        return {"indices": list(vector.sparse.indices), "values": list(vector.sparse.values)}
    if kind == "multi_dense":
        return np.array([row.data for row in vector.multi_dense.vectors], dtype=np.float32)
    if vector.HasField("indices"):
        return {"indices": list(vector.indices.data), "values": list(vector.data)}
    flat = np.array(vector.dense.data if kind == "dense" else vector.data, dtype=np.float32)
    if vector.vectors_count:
        return flat.reshape(vector.vectors_count, -1)
    return flat
