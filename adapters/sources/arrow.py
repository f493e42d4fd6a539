"""Values of Arrow arrays as Python values, without pandas and without loss.

Python's own date and time types end at microseconds and at the year 9999. Nanoseconds become text
here; a value that does not fit becomes ``Unreadable``, so that one value makes one bad record.
"""

import importlib
from typing import Any

from qdrant_rollouts.adapters.sources.values import Unreadable, duration_text
from qdrant_rollouts.core.sanitize.quoting import quote_value

# An extra: code that imports this module has Arrow arrays.
pa: Any = importlib.import_module("pyarrow")
types: Any = importlib.import_module("pyarrow.types")

_LIST_TESTS = (
    types.is_list,
    types.is_large_list,
    types.is_fixed_size_list,
    types.is_list_view,
    types.is_large_list_view,
)
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_MOMENT_FORM = "0000-00-00T00:00:00.000000"
_TIME_FORM = "00:00:00.000000"
#: Raised by pyarrow for a value that is not text or out of range; KeyError is an unknown time zone.
_UNREADABLE = (ValueError, OverflowError, KeyError, NotImplementedError)


def read_column(array: Any) -> list[Any]:
    """Returns the array's values: structs and maps as objects, ``Unreadable`` for values that do
    not fit."""
    if not _needs_care(array.type):
        try:
            return list(array.to_pylist())
        except _UNREADABLE:
            pass  # one of them; reading value by value finds which
    return [_read_value(scalar) for scalar in array]


def _needs_care(kind: Any) -> bool:
    """Whether ``to_pylist`` needs pandas for it, or returns a value that JSON writes
    differently."""
    if types.is_dictionary(kind):
        return _needs_care(kind.value_type)
    if types.is_map(kind) or types.is_duration(kind):
        return True
    if types.is_timestamp(kind) or types.is_time64(kind):
        return bool(kind.unit == "ns")
    return any(_needs_care(inner) for inner in _inner_types(kind))


def _inner_types(kind: Any) -> list[Any]:
    if types.is_struct(kind):
        return [kind.field(at).type for at in range(kind.num_fields)]
    if not _is_list(kind):
        return []
    return [kind.value_type]


def _is_list(kind: Any) -> bool:
    return any(test(kind) for test in _LIST_TESTS)


def _read_value(scalar: Any) -> Any:
    if not scalar.is_valid:
        return None
    kind = scalar.type
    if types.is_dictionary(kind):
        return _read_value(scalar.value)
    if _is_list(kind):
        return [_read_value(inner) for inner in scalar.values]
    if types.is_struct(kind) or types.is_map(kind):
        return _build_object(_read_entries(scalar))
    try:
        return _read_leaf(scalar)
    except _UNREADABLE as error:
        return Unreadable(f"cannot be read as {kind}: {error}")


def _read_entries(scalar: Any) -> list[tuple[Any, Any]]:
    if types.is_map(scalar.type):
        return [(_object_key(pair[0]), pair[1]) for pair in scalar.values]
    return [(scalar.type.field(at).name, scalar[at]) for at in range(scalar.type.num_fields)]


def _read_leaf(scalar: Any) -> Any:
    if types.is_duration(scalar.type):
        return duration_text(scalar.value * _NANOSECONDS[scalar.type.unit])
    if types.is_timestamp(scalar.type) and scalar.type.unit == "ns":
        return _format_nanoseconds(scalar.value, pa.timestamp("us", scalar.type.tz), _MOMENT_FORM)
    if types.is_time64(scalar.type) and scalar.type.unit == "ns":
        return _format_nanoseconds(scalar.value, pa.time64("us"), _TIME_FORM)
    return scalar.as_py()


def _format_nanoseconds(nanoseconds: int, coarse: Any, form: str) -> str:
    """ISO 8601, nine digits if the last three are not all zero. ``form`` ends at the sixth."""
    microseconds, rest = divmod(nanoseconds, 1000)
    value = pa.scalar(microseconds, coarse).as_py()
    if not rest:
        return str(value.isoformat())
    text = value.isoformat(timespec="microseconds")
    return f"{text[: len(form)]}{rest:03}{text[len(form) :]}"


def _object_key(scalar: Any) -> Any:
    """Keys of JSON objects are text; numbers and dates are converted to it."""
    key = _read_value(scalar)
    if isinstance(key, bool | bytes | list | dict):
        found = type(key).__name__
        return Unreadable(f"has a key that is a {found}; expected text, numbers or dates")
    if isinstance(key, Unreadable):
        return key
    return _key_text(key)


def _key_text(key: Any) -> str:
    if hasattr(key, "isoformat"):
        return str(key.isoformat())
    return str(key)


def _build_object(entries: list[tuple[Any, Any]]) -> Any:
    """A JSON object cannot have one key twice; Python's would silently keep the last value."""
    found: dict[str, Any] = {}
    for key, scalar in entries:
        if isinstance(key, Unreadable):
            return key
        if key in found:
            return Unreadable(f"has the key {quote_value(key)} twice")
        found[key] = _read_value(scalar)
    return found
