"""What a wrong value should have been, in words; for the settings and for the index file alike."""

from collections.abc import Mapping
from typing import Any

#: What pydantic says in words of Python, in words of YAML.
_IN_YAML = {"tuple_type": "expected a list", "dict_type": "expected keys", "model_type": "expected keys"}


def describe_expected(fault: Mapping[str, Any]) -> str:
    """What a value should have been, in words, for one of pydantic's faults."""
    return _IN_YAML.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
