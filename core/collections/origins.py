"""What a point was made from, as a digest that is kept in its mark.

Rule: equal digests mean that nothing of the origin has changed, so the point need not be made
again. The digest covers the payload without our mark, and the vectors that are taken as they are. A
vector that is made from a text follows from the payload.
"""

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from qdrant_rollouts.core.collections.records import MARK_KEY, Record
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.ports import Point, Row

#: Numbers with a fraction: a server's last digits differ between its ways to answer.
_FRACTION = re.compile(r"\d[.eE][-+\d]")
_DIGITS = ".12g"
_LAST_DIGIT = 1e-15
#: What may be or contain a number with a fraction.
_MAY_HAVE_FRACTION = (float, Mapping, list, tuple)
#: What JSON has beside lists and objects.
_PLAIN = (str, int, float, bool, type(None))


def digest_origin(
    fields: Mapping[str, Any], vectors: Any = None, names: Collection[str] = ()
) -> str:
    """Returns 32 hex digits for a payload and those of the point's ``vectors`` that have one of
    ``names``. A payload key that is ours is not looked at."""
    digest = hashlib.blake2b(_encode_payload(fields), digest_size=16)
    if names:
        found = vectors_by_name(vectors)
        for name in sorted(found.keys() & set(names)):
            digest.update(b"\0" + name.encode() + b"\0" + _encode_vector(found[name]))
    return digest.hexdigest()


def digest_row(row: Row, record: Record, names: Collection[str]) -> str:
    """Returns the origin of the point that ``record`` becomes, for the vector ``names`` that a plan
    has as ``taken``. A point of a collection brings all its vectors, also those that the record
    does not take from it."""
    brought = record.vectors if row.point_id is None else row.vector
    return digest_origin(record.fields, brought, names)


def digest_point(point: Point, names: Collection[str]) -> str:
    """Returns the origin of what is made from ``point``, as ``digest_row`` does for its row."""
    return digest_origin(point.payload, point.vector, names)


def are_same_values(one: Any, other: Any) -> bool:
    """Returns whether two payloads are the same JSON, with the types of their values. Numbers with
    a fraction may differ in their last digit, because a server's ways to answer do."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            are_same_values(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(are_same_values, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_LAST_DIGIT)
    if type(one) is type(other):
        return bool(one == other)
    if isinstance(one, _PLAIN) and isinstance(other, _PLAIN):
        return False
    return _ENCODER.encode(one) == _ENCODER.encode(other)


def _encode_payload(fields: Mapping[str, Any]) -> bytes:
    own = {name: value for name, value in fields.items() if name != MARK_KEY}
    text = _ENCODER.encode(own)
    may_have = any(isinstance(value, _MAY_HAVE_FRACTION) for value in own.values())
    if may_have and _FRACTION.search(text):
        text = _ENCODER.encode(_round_numbers(own))
    return text.encode(errors="surrogatepass")


def _describe_other(value: Any) -> Any:
    """Arrays as lists; whatever else a source gives as its text."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)


_ENCODER = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_describe_other
)


def _round_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _round_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_round_numbers(inner) for inner in value]
    if isinstance(value, float):
        return float(format(value, _DIGITS))
    return value


def _encode_vector(vector: Any) -> bytes:
    if not isinstance(vector, Mapping):
        return np.asarray(vector, dtype=np.float32).tobytes()
    pairs = sorted(zip(map(int, vector["indices"]), vector["values"], strict=True))
    indices = np.asarray([index for index, _ in pairs], dtype=np.uint32)
    values = np.asarray([value for _, value in pairs], dtype=np.float32)
    return indices.tobytes() + values.tobytes()
