"""How times are written when they leave the program: UTC in ISO 8601, to the millisecond, with
Z."""

from datetime import UTC, datetime
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
