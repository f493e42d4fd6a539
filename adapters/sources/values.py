"""Values of databases and column files as JSON has them."""

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
    """A row's columns."""
    return {name: as_json(value) for name, value in row.items()}
