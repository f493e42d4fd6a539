"""The vector of a search: dense, a multivector or sparse."""

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

#: Maximum numbers of a vector or of a row, and rows of a multivector, in one search.
_NUMBERS = 65_536
_ROWS = 4_096
_LARGEST = 3.4028234663852886e38
_ROW = {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": _NUMBERS}
_INDEX = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
_SPARSE = {
    "type": "object",
    "properties": {
        "indices": {"type": "array", "items": _INDEX, "maxItems": _NUMBERS, "uniqueItems": True},
        "values": {"type": "array", "items": {"type": "number"}, "maxItems": _NUMBERS},
    },
    "required": ["indices", "values"],
    "additionalProperties": False,
}
_SCHEMA = {
    "anyOf": [_ROW, {"type": "array", "items": _ROW, "minItems": 1, "maxItems": _ROWS}, _SPARSE]
}


def _check_kind(value: Any) -> Any:
    """Gives one message for every kind of vector; pydantic's union would name the kinds in the
    path."""
    if value is None or _is_row(value) or _is_sparse(value):
        return value
    if (
        isinstance(value, list)
        and 0 < len(value) <= _ROWS
        and all(map(_is_row, value))
        and len(set(map(len, value))) == 1
    ):
        return value
    raise ValueError(
        f"expected 1 to {_NUMBERS} finite numbers, for a multivector 1 to {_ROWS} equally long "
        "lists of them, for a "
        "sparse vector an object of indices and as many values"
    )


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= _NUMBERS and all(map(_is_number, value))


def _is_sparse(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"indices", "values"}:
        return False
    indices = value["indices"]
    values = value["values"]
    if not isinstance(indices, list) or not isinstance(values, list) or len(indices) > _NUMBERS:
        return False
    fit = all(type(index) is int and 0 <= index < 2**32 for index in indices) and all(
        map(_is_number, values)
    )
    return fit and len(set(indices)) == len(indices) == len(values)


def _is_number(value: Any) -> bool:
    """A number beyond float32 would become infinite."""
    return type(value) in {int, float} and abs(value) <= _LARGEST


AnyVector = Annotated[Any, BeforeValidator(_check_kind), WithJsonSchema(_SCHEMA)]
