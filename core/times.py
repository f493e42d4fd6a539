"""How times are written when they leave the program, UTC in ISO 8601, to the millisecond, with Z;
how those that people give are read; and how they are cut into equal windows."""

from datetime import UTC, datetime, timedelta
from typing import Any, overload

from qdrant_rollouts.core.errors import Malformed
from qdrant_rollouts.core.sanitize.quoting import quote_value

#: Years that a given time may have.
_EARLIEST = 1900
_LATEST = 8999


@overload
def as_iso(moment: datetime) -> str: ...
@overload
def as_iso(moment: datetime | None) -> str | None: ...
def as_iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_text(value: Any) -> str:
    """For ``json.dumps``: converts values that JSON cannot express."""
    if isinstance(value, datetime):
        return as_iso(value)
    return str(value)


def floor_time(at: datetime, window: timedelta) -> datetime:
    """Returns when the window began in which ``at`` lies; those of a day begin at midnight."""
    return at - (at - datetime.min.replace(tzinfo=at.tzinfo)) % window


def read_time(name: str, text: str) -> datetime:
    """Returns the time that a person has given as ``name``: in ISO 8601, in UTC unless it says
    otherwise. Raises Malformed."""
    try:
        return convert_to_utc(datetime.fromisoformat(text))
    except ValueError:
        raise Malformed(
            f"{name} is {quote_value(text)}; expected a time such as 2026-11-02 or "
            f"2026-11-02T02:30, in UTC, from {_EARLIEST} to {_LATEST}"
        ) from None


def convert_to_utc(given: datetime) -> datetime:
    """Returns the same moment in UTC; what names no zone is in UTC. Raises ValueError for a year so
    far away that nothing can be added or subtracted."""
    if not _EARLIEST <= given.year <= _LATEST:
        raise ValueError(f"expected a year from {_EARLIEST} to {_LATEST}")
    return given.replace(tzinfo=given.tzinfo or UTC).astimezone(UTC)
