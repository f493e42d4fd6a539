"""Describes what a wrong value should have been, for the settings and the index file."""

from collections.abc import Mapping
from typing import Any

#: pydantic's Python terms, in YAML's terms.
_IN_YAML = {
    "tuple_type": "expected a list",
    "dict_type": "expected keys",
    "model_type": "expected keys",
}


def describe_expected(fault: Mapping[str, Any]) -> str:
    """Returns what the value should have been, in words, for one of pydantic's errors."""
    return _IN_YAML.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
