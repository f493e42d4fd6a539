"""Reads JSON that a process of another release may have written. During an upgrade both releases
read each other's rows.

Rule: an unknown key is ignored, and a missing key has its default, which must mean what the
previous release meant by its absence. What still cannot be read is left to a process that can read
it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from qdrant_rollouts.core.errors import Unavailable

Model = TypeVar("Model", bound=BaseModel)
Kind = TypeVar("Kind")


def read_stored(model: type[Model], content: Any) -> Model:
    """Reads ``content`` of a row as ``model``, although the model refuses unknown keys in what a
    person writes."""
    try:
        return model.model_validate(content, extra="ignore", context={"extra": "ignore"})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3]
        )
        raise _unreadable_row(model.__name__, faults) from error


def read_stored_dataclass(kind: type[Kind], content: Mapping[str, Any]) -> Kind:
    """Reads ``content`` of a row as a dataclass."""
    assert is_dataclass(kind)
    taken = {one.name: content[one.name] for one in fields(kind) if one.name in content}
    lacking = [
        one.name
        for one in fields(kind)
        if one.name not in taken and one.default is MISSING and one.default_factory is MISSING
    ]
    if lacking:
        raise _unreadable_row(kind.__name__, f"{', '.join(lacking)} missing")
    return kind(**taken)


def _unreadable_row(what: str, why: str) -> Unavailable:
    return Unavailable(
        f"{what} cannot be read ({why}); another release of this program may have written it: a "
        "process of "
        "that release goes on with it"
    )
