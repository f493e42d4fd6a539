"""Values of databases and column files as JSON has them."""

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID


def as_json(value: Any) -> Any:
    """Dates as ISO 8601, UUIDs as text, decimals as numbers; what else JSON has no word for makes a bad record."""
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    return value


def as_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's columns; ``vector`` may be written as JSON, and NULL is no vector."""
    fields = {name: as_json(value) for name, value in row.items()}
    if isinstance(fields.get("vector"), str):
        fields["vector"] = _parsed(fields["vector"])
    if fields.get("vector", 0) is None:
        del fields["vector"]
    return fields


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # then the record's rules say what is wrong with it
