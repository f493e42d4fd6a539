"""Converts values of databases and column files to JSON.

Rule: dates, times and durations become ISO 8601 text, decimals numbers, UUIDs and network addresses
text. A value without such a form makes one bad record, which says why; it never fails the file or
the query.
"""

import ipaddress as ip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from qdrant_rollouts.core.ports import Cursor, Row

#: An interface, as in PostgreSQL's ``inet``, is an address too.
_AS_TEXT = (UUID, ip.IPv4Address, ip.IPv4Network, ip.IPv6Address, ip.IPv6Network)
#: Digits. Python writes no longer integer, and no JSON number is as large.
_MOST_DIGITS = 4000
_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that its library could not read; ``why`` says what is wrong with it."""

    why: str


def make_row(where: str, columns: Mapping[str, Any], cursor: Cursor) -> Row:
    """Returns the row, or why it is not one. A vector in it may be written as JSON."""
    fields: dict[str, Any] = {}
    for name, value in columns.items():
        try:
            fields[name] = as_json(value)
        except ValueError as error:
            return Row(where, None, cursor, f"{name}: {error}")
    return Row(where, fields, cursor, written=True)


def as_json(value: Any) -> Any:
    """Raises ValueError for a value that could not be read. Other values that JSON cannot express
    stay unchanged: the rules of records name their field."""
    for kinds, write in _FORMS:
        if isinstance(value, kinds):
            return write(value)
    return value


def _refuse_value(value: Unreadable) -> None:
    raise ValueError(value.why)


def _object_as_json(value: dict[Any, Any]) -> dict[Any, Any]:
    return {name: as_json(inner) for name, inner in value.items()}


def _list_as_json(value: list[Any] | tuple[Any, ...]) -> list[Any]:
    return [as_json(inner) for inner in value]


def _duration_as_text(value: timedelta) -> str:
    return duration_text(value // timedelta(microseconds=1) * 1000)


def duration_text(nanoseconds: int) -> str:
    """In ISO 8601: ``P1DT2H3M4.5S``."""
    seconds, fraction = divmod(abs(nanoseconds), _SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    exact = f"{seconds}.{fraction:09}".rstrip("0") if fraction else str(seconds)
    day = f"{days}D" if days else ""
    parts = [(str(hours), "H"), (str(minutes), "M"), (exact, "S")]
    clock = "".join(f"{number}{unit}" for number, unit in parts if number != "0")
    text = f"{day}T{clock}" if clock else day or "T0S"
    if nanoseconds < 0:
        return f"-P{text}"
    return f"P{text}"


def _decimal_as_number(value: Decimal) -> int | float:
    if not value.is_finite():  # then the record's rules say what is wrong with it
        return float(value)
    if value.adjusted() > _MOST_DIGITS:
        digits = value.adjusted() + 1
        raise ValueError(f"is a number of {digits:,} digits; select it as text")
    if value == value.to_integral_value():
        return int(value)
    return float(value)


_FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((str, bool, int, float), lambda value: value),
    (dict, _object_as_json),
    ((list, tuple), _list_as_json),
    ((date, datetime, time), lambda value: value.isoformat()),
    (timedelta, _duration_as_text),
    (Decimal, _decimal_as_number),
    (_AS_TEXT, str),
    (Unreadable, _refuse_value),
)
