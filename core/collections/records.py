"""From a source's row to a record and its payload: every rule that a record must follow.

A record is an object of finite JSON with a unique ``id``. For each made vector it has every field
of the text template, or it brings that vector. It brings every vector that the index file declares
as given. Vectors are read from one field, and only if its value cannot be anything else: a list of
numbers, or an object with the collection's vector names. Any other value is payload. The payload of
a point is never interpreted. A violation becomes a ``BadRecord`` that says where, which field and
why; nothing is silently repaired. Python's ``json`` accepts ``NaN`` and ``Infinity``; here they
make a bad record, because Qdrant cannot store them. The reader of the whole source finds duplicate
ids.
"""

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdrant_rollouts.core.collections.given_vectors import check_given_vectors, name_vectors
from qdrant_rollouts.core.collections.record_rules import (
    VECTOR_FIELD,
    BadField,
    RecordRules,
)
from qdrant_rollouts.core.config.index_file import render_text, template_fields
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.ports import Cursor, Point, PointId, Row, Vector
from qdrant_rollouts.core.ports.naming import point_id
from qdrant_rollouts.core.sanitize.quoting import error_text, quote_value, shorten_text

#: This product's own payload key. What the product wrote there is dropped when the point is read
#: again.
MARK_KEY = "_rollouts"
_MARK_FIELDS = {"n", "hash", "from"}
#: More records than a source has.
_SLICE = 2**40
#: Qdrant's integers are int64 and uint64, over gRPC only int64; larger values are sent over REST.
_INT64 = 2**63
#: serde_json reads 128 levels, and a request adds some levels around the payload.
_DEEPEST = 100
_LONG_NUMBER = re.compile(r"\d{19}")


@dataclass(frozen=True, slots=True)
class Record:
    """``fields`` is the payload: the row without its vectors.

    By vector name (``""`` is the unnamed one): ``texts`` must still be embedded, ``vectors`` came
    with the row: float32[size], float32[rows, size] for a multivector, or ``indices`` and
    ``values`` of a sparse one.
    """

    id: int | str
    point_id: PointId
    fields: dict[str, Any]
    texts: Mapping[str, str]
    vectors: Mapping[str, Any]
    where: str


@dataclass(frozen=True, slots=True)
class BadRecord:
    """``field`` is empty if the row as a whole is wrong."""

    where: str
    field: str
    why: str

    def __str__(self) -> str:
        if self.field:
            return f"{self.where}: {self.field}: {self.why}"
        return f"{self.where}: {self.why}"


def duplicate_id_fault(record: Record, where: str) -> BadRecord:
    return BadRecord(
        record.where, "id", f"{quote_value(record.id)} is not unique, {where} has it too"
    )


def parse_row(row: Row, rules: RecordRules) -> Record | BadRecord:
    """Returns the record in ``row``, or what is wrong with it."""
    try:
        return _build_record(row, rules)
    except BadField as bad:
        return BadRecord(row.where, shorten_text(_as_printable(bad.field)), _as_printable(bad.why))


def brought_names(row: Row, rules: RecordRules) -> set[str]:
    """Returns the names of the vectors in the row, valid or not."""
    try:
        given = split_row(row, rules)[1]
    except BadField:
        return set(rules.names)
    if isinstance(given, Mapping):
        return set(given)
    if given is None:
        return set()
    return {next(iter(rules.dense), "")}


def brought_vectors(row: Row, field: str | None, names: Collection[str]) -> dict[str, Any]:
    """Returns the row's vectors by name, unchecked; a list without a name is the unnamed one's."""
    try:
        given = split_row(row, RecordRules(dense={}, sparse=frozenset(names), vector_field=field))[
            1
        ]
    except BadField:
        return {}
    return vectors_by_name(given)


def point_row(point: Point, where: str, cursor: Cursor) -> Row:
    """Returns a point as a row of a source."""
    fields = {"id": point.id, **point.payload}
    vector = None
    if len(point.vector):
        vector = point.vector
    return Row(
        where, fields, cursor, point_id=point.id, vector=vector, lent_id="id" not in point.payload
    )


def read_mark(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what ``build_payload`` wrote into the record; empty if another program wrote it, or
    if there is nothing."""
    found: Any = stored.get(MARK_KEY)
    return dict(found) if _is_mark(found) else {}


def _is_mark(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("n")) is int and value.keys() <= _MARK_FIELDS


def number_in_slice(slice_number: int, number: int) -> int:
    """Returns the ordinal of a record by the slice that reads it, and its number in that. Both are
    in one number, because releases without slices know a mark by its fields."""
    return (slice_number + 1) * _SLICE + number


def read_ordinal(ordinal: int) -> tuple[int | None, int]:
    """Returns the slice, None for a source that was read in one part, and the number in it."""
    before, number = divmod(ordinal, _SLICE)
    return (before - 1 if before else None), number


def content_hash(identity: str, text: str) -> str:
    """Returns 32 hex digits that are equal only if the same text went through an embedder with the
    same ``identity``.

    The identity covers model, revision, dtype, prompt and truncation, so an equal hash proves the
    stored vector.
    """
    return hashlib.blake2b(f"{identity}\0{text}".encode(), digest_size=16).hexdigest()


def build_payload(
    record: Record, hashes: Mapping[str, str], ordinal: int, origin: str = ""
) -> dict[str, Any]:
    """Returns what is stored with the point: the record's fields and our own mark.

    ``hashes`` are the ``content_hash`` of each made vector, by its name; ``ordinal`` is the
    record's number in the source, or what ``number_in_slice`` returns; ``origin`` is the digest of
    what it was made from (``core.collections.origins``), empty if nobody will ask.
    """
    stored = dict(record.fields)
    hashed = {"hash": dict(hashes)} if hashes else {}
    made_from = {"from": origin} if origin else {}
    stored[MARK_KEY] = {"n": ordinal, **hashed, **made_from}
    return stored


def stored_hashes(payload: Mapping[str, Any], embedded: str = "") -> dict[str, str]:
    """Returns the content hash of each made vector of a stored point, by vector name.

    Points of a release that supported only one made vector have one hash, which belongs to the
    vector ``embedded``.
    """
    found = read_mark(payload).get("hash")
    if isinstance(found, str):
        return {embedded: found}
    if not isinstance(found, Mapping):
        return {}
    return dict(found)


def plain_vectors(vectors: Mapping[str, Any]) -> Vector:
    """Returns vectors in a point's form: a single unnamed vector without a name, otherwise by
    name."""
    if vectors.keys() == {""}:
        alone: Vector = vectors[""]
        return alone
    return vectors


def _as_printable(text: str) -> str:
    """A report must be writable as UTF-8 even if it quotes text that is not."""
    return text.encode(errors="backslashreplace").decode()


def _build_record(row: Row, rules: RecordRules) -> Record:
    if row.fields is None:
        raise BadField("", row.problem or "cannot be read")
    fields, given = split_row(row, rules)
    if MARK_KEY in fields and not _is_mark(fields.pop(MARK_KEY)):
        raise BadField(MARK_KEY, "is a payload key of this program; call the field something else")
    record_id = _read_id(fields) if row.point_id is None else row.point_id
    _check_storable(fields)
    path = rules.vector_field or VECTOR_FIELD
    bare = row.point_id is not None
    vectors = {} if given is None else check_given_vectors(path, given, rules, bare=bare)
    for name in sorted(rules.required - vectors.keys()):
        raise BadField(*_describe_missing_vector(path, name, fields, rules))
    texts = {
        name: _render_template({**row.fields, **fields}, template)
        for name, template in rules.templates.items()
        if name not in vectors
    }
    own = row.point_id if row.point_id is not None else point_id(record_id)
    return Record(record_id, own, fields, texts, vectors, row.where)


def _describe_missing_vector(
    path: str, name: str, fields: Mapping[str, Any], rules: RecordRules
) -> tuple[str, str]:
    if not rules.templates and len(rules.required) == 1:
        there = "missing"
        if path in fields:
            there = f"is {quote_value(fields[path])}"
        wanted = f"a list of numbers or an object of {name_vectors(rules)}"
        return path, f"{there}; expected {wanted}, for the index declares no embedding.model"
    return (
        f"{path}.{name}" if name else path,
        "missing: the index file says that every record brings it; say `optional` where some may "
        "lack it",
    )


def split_row(row: Row, rules: RecordRules) -> tuple[dict[str, Any], Any]:
    """Returns the row's payload and its vector, valid or not; None without a vector. Raises
    ``BadField`` if that cannot be decided."""
    fields = dict(row.fields or {})
    field = rules.vector_field
    if row.point_id is not None:
        if row.lent_id:
            del fields["id"]
        return fields, row.vector
    if field is None or field not in fields:
        return fields, None
    value = _parse_written_vector(field, fields[field]) if row.written else fields[field]
    if value is None or _is_vector(value, rules.names):
        del fields[field]
        return fields, value
    if field != VECTOR_FIELD:
        raise BadField(
            field, f"is {quote_value(value)}; expected a vector, for vector_field names it"
        )
    return fields, None


def _parse_written_vector(field: str, value: Any) -> Any:
    """Parses a vector written as JSON in a cell or a column. Text that is not JSON stays text; an
    empty cell means no vector."""
    text = None
    if isinstance(value, str):
        text = value.strip()
    if text is None:
        return value
    if not text:
        return None
    if text[0] not in "[{":
        return value
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadField(field, f"begins like JSON but is not valid: {error_text(error)}") from None


def _is_vector(value: Any, names: frozenset[str]) -> bool:
    if isinstance(value, Mapping):
        return not names.isdisjoint(value)
    return _is_of_numbers(value) or (isinstance(value, list) and any(map(_is_of_numbers, value)))


def _is_of_numbers(value: Any) -> bool:
    """A list that contains a number is a vector, valid or not; so is an empty list."""
    if isinstance(value, np.ndarray):
        return True
    if not isinstance(value, list | tuple):
        return False
    return not value or any(
        isinstance(one, int | float) and not isinstance(one, bool) for one in value
    )


def _read_id(fields: Mapping[str, Any]) -> int | str:
    value = fields.get("id")
    if value is None:
        raise BadField("id", "missing; every record needs its own string or integer id")
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise BadField(
            "id",
            f"is {shorten_text(reprlib.repr(value))}; expected a non-empty string or an integer",
        )
    if isinstance(value, int) and not -_INT64 <= value < 2 * _INT64:
        raise BadField("id", f"is {quote_value(value)}, beyond 64 bits; write it as a string")
    return value


def _render_template(fields: Mapping[str, Any], template: str) -> str:
    names = template_fields(template)
    for name in names:
        if fields.get(name) is None:
            raise BadField(name, f"missing; the text template {quote_value(template)} needs it")
    text = render_text(template, fields)
    if text is None:
        raise BadField(
            ", ".join(names),
            f"empty; the text template {quote_value(template)} gives no text to embed",
        )
    return text


def _check_storable(fields: Mapping[str, Any]) -> None:
    """A flat record is accepted by its values, and another good one by encoding it once in C. Only
    a suspicious record is walked to name the field."""
    if all(map(_is_plain, fields.values())) and all(map(_is_plain, fields)):
        return
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
        text.encode()
        suspicious = text.count("{") + text.count("[") > _DEEPEST or _LONG_NUMBER.search(text)
    except (ValueError, TypeError, RecursionError):
        suspicious = True
    if suspicious:
        for field, why in _find_faults("", fields, 0):
            raise BadField(field, why)


def _is_plain(value: Any) -> bool:
    """Returns whether the value is surely storable, without a look into lists and objects."""
    if type(value) is str:
        return value.isascii()
    if type(value) is int:
        return -_INT64 <= value < _INT64
    return value is None or type(value) is bool


def _find_faults(path: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        yield path[:80], f"is nested deeper than {_DEEPEST} levels"
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _find_faults(path, name, depth)
            yield from _find_faults(f"{path}.{name}" if path else name, inner, depth + 1)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _find_faults(f"{path}[{at}]", inner, depth + 1)
    elif why := _describe_unfit(value):
        yield path, why


def _describe_unfit(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"is {value}, and JSON has no such number"
    if isinstance(value, int):
        fits = -_INT64 <= value < 2 * _INT64
        return (
            ""
            if fits
            else f"is {quote_value(value)}, beyond the 64-bit integers Qdrant stores; write it as "
            "a string"
        )
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
