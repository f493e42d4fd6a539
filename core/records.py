"""From a source's row to what is written: every rule a record must keep, and the payload it becomes.

A record is an object of finite JSON with a unique ``id``, and either a ``vector`` that fits the collection or every
field the text template names. What breaks a rule becomes a ``BadRecord`` that says where, which field and why; nothing
is repaired in silence. Python's ``json`` accepts ``NaN`` and ``Infinity``; here they make a bad record, because Qdrant
cannot store them. Whether an id was seen before is for the reader of the whole source to find out.
"""

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.index_file import IndexSpec, template_fields
from core.kinds import kind_of
from core.naming import point_id
from core.ports import FloatArray, PointId, Row, Schema, Vector
from core.quoting import cut, quoted
from core.schema import dense_names, vector_names, vector_params

#: The payload key that is this product's own; a record's field of that name is dropped.
OURS = "_rollouts"

#: Qdrant's payload integers are int64 over gRPC; point ids are uint64.
_INT64 = 2**63
#: serde_json reads 128 levels, and a request wraps the payload in some of its own.
_DEEPEST = 100
_LONG_NUMBER = re.compile(r"\d{19}")


@dataclass(frozen=True, slots=True)
class Record:
    """``fields`` is the payload: the row without its ``vector``. Either ``text`` waits to be embedded, or ``vector``
    is given: float32[size], float32[rows, size] for a multivector, or an object of those by vector name."""

    id: int | str
    point_id: PointId
    fields: dict[str, Any]
    text: str | None
    vector: Vector | None
    where: str


@dataclass(frozen=True, slots=True)
class BadRecord:
    """``field`` is empty when the row as a whole is at fault."""

    where: str
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.field}: {self.why}" if self.field else f"{self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class VectorRule:
    size: int
    cosine: bool = False
    #: A multivector: rows of ``size`` numbers each.
    rows: bool = False


@dataclass(frozen=True, slots=True)
class RecordRules:
    """What one collection asks of its records; the unnamed vector is ``""``, no template means no embedding."""

    dense: Mapping[str, VectorRule]
    sparse: frozenset[str] = frozenset()
    template: str | None = None

    @classmethod
    def of(cls, spec: IndexSpec, schema: Schema) -> "RecordRules":
        dense = dense_names(schema)
        return cls(
            dense={name: _vector_rule(vector_params(schema, name)) for name in dense},
            sparse=frozenset(vector_names(schema)) - frozenset(dense),
            template=spec.embedding.text if spec.embedding else None,
        )


def _vector_rule(params: Mapping[str, Any]) -> VectorRule:
    return VectorRule(params["size"], params["distance"] == "Cosine", kind_of(params).name == "multi")


def parse(row: Row, rules: RecordRules) -> Record | BadRecord:
    """The record in ``row``, or what is wrong with it."""
    try:
        return _record(row, rules)
    except _Bad as bad:
        return BadRecord(row.where, cut(_printable(bad.field)), _printable(bad.why))


def content_hash(identity: str, text: str) -> str:
    """32 hex digits that are equal only if the same text went through an embedder of the same ``identity``.

    The identity speaks for model, revision, dtype, prompt and truncation, so an equal hash proves the stored vector.
    """
    return hashlib.blake2b(f"{identity}\0{text}".encode(), digest_size=16).hexdigest()


def payload(record: Record, content: str | None, ordinal: int) -> dict[str, Any]:
    """What is stored with the point: the record's fields and our own mark.

    ``content`` is the ``content_hash`` of an embedded text, None for a given vector; ``ordinal`` is the record's number
    in the source. An integer id beyond int64 is left out of the payload: there the point id is the record id.
    """
    stored = dict(record.fields)
    if record.id == stored.get("id") and isinstance(record.id, int) and record.id >= _INT64:
        del stored["id"]
    stored[OURS] = {"n": ordinal} if content is None else {"n": ordinal, "hash": content}
    return stored


def _printable(text: str) -> str:
    """A report must be writable as UTF-8 even when it speaks of text that is not."""
    return text.encode(errors="backslashreplace").decode()


class _Bad(Exception):
    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field, self.why = field, why


def _record(row: Row, rules: RecordRules) -> Record:
    if row.fields is None:
        raise _Bad("", row.problem or "cannot be read")
    fields = {name: value for name, value in row.fields.items() if name not in {"vector", OURS}}
    record_id = _id(fields) if row.point_id is None else row.point_id
    _must_be_storable(fields)
    given = row.fields.get("vector")
    vector = None if given is None else _vector(given, rules, bare=row.point_id is not None)
    text = None if vector is not None else _text(fields, rules)
    return Record(
        record_id, row.point_id if row.point_id is not None else point_id(record_id), fields, text, vector, row.where
    )


def _id(fields: Mapping[str, Any]) -> int | str:
    value = fields.get("id")
    if value is None:
        raise _Bad("id", "missing; every record needs its own string or integer id")
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise _Bad("id", f"is {cut(reprlib.repr(value))}; expected a non-empty string or an integer")
    if isinstance(value, int) and not -_INT64 <= value < 2 * _INT64:
        raise _Bad("id", f"is {quoted(value)}, beyond 64 bits; write it as a string")
    return value


def _text(fields: Mapping[str, Any], rules: RecordRules) -> str:
    if rules.template is None:
        raise _Bad("vector", "missing: the record has no vector, and the index declares no embedding.model")
    names = template_fields(rules.template)
    for name in names:
        if fields.get(name) is None:
            raise _Bad(name, f"missing; the text template {quoted(rules.template)} needs it")
    text = rules.template.format_map({name: str(fields[name]) for name in names})
    if not text.strip():
        raise _Bad(", ".join(names), f"empty; the text template {quoted(rules.template)} gives no text to embed")
    return text


# --- vectors ----------------------------------------------------------------------------------------------------


def _vector(given: Any, rules: RecordRules, *, bare: bool) -> Vector:
    """``bare``: it comes from a collection, where a point may have no vector at all."""
    if isinstance(given, Mapping):
        return {} if bare and not given else _named(given, rules)
    if len(rules.dense) != 1:
        raise _Bad("vector", f"names no vector; expected an object with some of {_names(rules)}")
    (name, rule), *_ = rules.dense.items()
    dense = _dense("vector", given, rule)
    return {name: dense} if name else dense


def _named(given: Mapping[str, Any], rules: RecordRules) -> Vector:
    if not given:
        raise _Bad("vector", f"is empty; expected some of {_names(rules)}")
    fitting = {name: _one(f"vector.{name}", name, value, rules) for name, value in given.items()}
    return fitting[""] if fitting.keys() == {""} else fitting


def _one(path: str, name: str, value: Any, rules: RecordRules) -> Any:
    if name in rules.dense:
        return _dense(path, value, rules.dense[name])
    if name in rules.sparse:
        return _sparse(path, value)
    raise _Bad(path, f"is no vector of the collection; expected some of {_names(rules)}")


def _names(rules: RecordRules) -> str:
    return ", ".join(repr(name) for name in (*rules.dense, *sorted(rules.sparse)))


def _dense(path: str, value: Any, rule: VectorRule) -> FloatArray:
    if not rule.rows:
        return _numbers(path, value, rule)
    if not isinstance(value, list | np.ndarray) or len(value) == 0:
        raise _Bad(path, f"expected a list of vectors of {rule.size} numbers each")
    return np.stack([_numbers(f"{path}[{at}]", row, rule) for at, row in enumerate(value)])


def _numbers(path: str, value: Any, rule: VectorRule) -> FloatArray:
    array = _finite(path, value)
    if len(array) != rule.size:
        raise _Bad(path, f"has {len(array)} numbers; the collection's vectors have {rule.size}")
    if rule.cosine and not array.any():
        raise _Bad(path, "is all zeros: without a direction there is no cosine")
    return array


def _finite(path: str, value: Any) -> FloatArray:
    if not isinstance(value, list) and not (isinstance(value, np.ndarray) and value.ndim == 1):
        raise _Bad(path, f"is a {type(value).__name__}; expected a list of numbers")
    if isinstance(value, list) and not {float, int}.issuperset(map(type, value)):
        at = next(at for at, number in enumerate(value) if type(number) not in {float, int})
        raise _Bad(f"{path}[{at}]", f"is {cut(reprlib.repr(value[at]))}; expected a number")
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and that is refused below
            array = np.asarray(value, dtype=np.float32)
    except OverflowError:
        raise _Bad(path, "holds an integer beyond float32") from None
    if not np.isfinite(array).all():
        at = int(np.isfinite(array).argmin())
        raise _Bad(f"{path}[{at}]", f"is {quoted(value[at])}; expected a finite float32")
    return array


def _sparse(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or value.keys() != {"indices", "values"}:
        raise _Bad(path, 'expected a sparse vector: {"indices": [...], "values": [...]}')
    indices, values = value["indices"], _finite(f"{path}.values", value["values"])
    if isinstance(indices, np.ndarray):
        indices = indices.tolist()
    if not isinstance(indices, list) or not all(type(index) is int and 0 <= index < 2**32 for index in indices):
        raise _Bad(f"{path}.indices", "expected a list of integers from 0 to 4294967295")
    if len(set(indices)) != len(indices) or len(indices) != len(values):
        raise _Bad(path, f"expected as many values as different indices, found {len(values)} and {len(set(indices))}")
    return {"indices": indices, "values": values}


# --- payload ----------------------------------------------------------------------------------------------------


def _must_be_storable(fields: Mapping[str, Any]) -> None:
    """Encoding once in C tells the good record; only a suspicious one is walked to name the field."""
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
        text.encode()
        suspicious = text.count("{") + text.count("[") > _DEEPEST or _LONG_NUMBER.search(text)
    except (ValueError, TypeError, RecursionError):
        suspicious = True
    if suspicious:
        for field, why in _faults("", fields, 0):
            raise _Bad(field, why)


def _faults(path: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        yield path[:80], f"is nested deeper than {_DEEPEST} levels"
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _faults(path, name, depth)
            yield from _faults(f"{path}.{name}" if path else name, inner, depth + 1)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _faults(f"{path}[{at}]", inner, depth + 1)
    elif why := _unfit(value, is_id=path == "id"):
        yield path, why


def _unfit(value: Any, *, is_id: bool) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"is {value}, and JSON has no such number"
    if isinstance(value, int):
        fits = is_id or -_INT64 <= value < _INT64
        return "" if fits else f"is {quoted(value)}, beyond the 64-bit integers Qdrant stores; write it as a string"
    if isinstance(value, str):
        return "" if _is_text(value) else "holds half of a surrogate pair, so it is no Unicode text"
    kind = f"is a {type(value).__name__}; expected JSON"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{kind}, where bytes are written as text such as hex or base64"
    return kind


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
