"""Values of a payload by their path, and which of them a payload index of a type holds.

Rule: a value that is not of the index's type is left out of it in silence, and no filter finds it
(measured on Qdrant 1.16.3). A list is held where one of its items is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

_INTEGERS = 2**63
#: A time as the server reads it: RFC 3339, with or without an offset, seconds or a time of day.
_MOMENT = re.compile(
    r"\d{4}-\d\d?-\d\d?([Tt ]\d\d?:\d\d(:\d\d(\.\d+)?\s?([Zz]|[+-]\d\d:?\d\d)?)?)?"
)


def values_at(payload: Mapping[str, Any], path: str) -> list[Any]:
    """The values at ``a``, ``a.b`` or ``a[].b``, as Qdrant spells them; items of a list one by
    one, null left out."""
    found: list[Any] = [payload]
    *outer, last = path.split(".")
    for key in outer:
        found = [
            item
            for one in found
            if isinstance(one, Mapping)
            for item in _list_inner_values(one, key)
        ]
    name = last.removesuffix("[]")
    return [
        item for one in found if isinstance(one, Mapping) for item in _list_items(one.get(name))
    ]


def is_held_by_index(payload: Mapping[str, Any], path: str, data_type: str) -> bool:
    """Does an index of this type on this field hold the point? An index of an unknown type is said
    to hold every value."""
    fits = _FITS.get(data_type, _is_anything)
    return any(fits(value) for value in values_at(payload, path))


def has_value(payload: Mapping[str, Any], path: str) -> bool:
    return bool(values_at(payload, path))


def _list_inner_values(payload: Mapping[str, Any], key: str) -> list[Any]:
    """A list is entered by ``a[]`` alone, an object by ``a`` alone."""
    value = payload.get(key.removesuffix("[]"))
    if key.endswith("[]"):
        if not isinstance(value, list):
            return []
        return value
    return [value]


def _list_items(value: Any) -> list[Any]:
    return [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def _is_anything(value: Any) -> bool:
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_integer(value: Any) -> bool:
    return (
        isinstance(value, int) and not isinstance(value, bool) and -_INTEGERS <= value < _INTEGERS
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def _is_datetime(value: Any) -> bool:
    return isinstance(value, str) and _MOMENT.fullmatch(value.strip()) is not None


def _is_geo_point(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        _is_number(value.get(name)) and abs(value[name]) <= most
        for name, most in (("lon", 180), ("lat", 90))
    )


_FITS: dict[str, Callable[[Any], bool]] = {
    "keyword": _is_text,
    "text": _is_text,
    "integer": _is_integer,
    "float": _is_number,
    "bool": _is_boolean,
    "uuid": _is_uuid,
    "datetime": _is_datetime,
    "geo": _is_geo_point,
}


def list_field_types(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each field that has a value, with the type of the value in a word. A field within an object
    has its full path."""
    for name, value in payload.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", kind) for inner, kind in list_field_types(value))
        elif items := _list_items(value):
            yield name, _name_type(items[0])


def _name_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "object"
