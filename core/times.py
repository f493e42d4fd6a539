"""How times are written when they leave the program, UTC in ISO 8601, to the millisecond, with Z;
and how they are cut into equal windows."""

from datetime import UTC, datetime, timedelta
from typing import Any, overload


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
