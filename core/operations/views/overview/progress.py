"""How far a step is, in words."""

from collections.abc import Mapping
from typing import Any

_MEGABYTE = 1e6


def describe_progress(progress: Mapping[str, Any] | None) -> str:
    """Returns what was done of how much, and how fast; empty if that is not known. ``progress`` is
    that of ``core.database.step_data.Progress``."""
    if not progress or not progress.get("size"):
        return ""
    words = _describe_reached(progress)
    rate = progress.get("rate")
    if not rate:
        return words
    if progress.get("unit") == "bytes":
        return f"{words}, {rate / _MEGABYTE:,.1f} MB/s"
    return f"{words}, {rate:,.0f}/s"


def _describe_reached(progress: Mapping[str, Any]) -> str:
    done = progress["done"]
    size = progress["size"]
    unit = progress.get("unit", "")
    records = progress.get("records")
    if unit == "searches":
        return f"{done:,} of {size:,} searches answered"
    if unit == "bytes":
        return f"{done / _MEGABYTE:,.1f} of {size / _MEGABYTE:,.1f} MB"
    if unit != "source":
        return f"{done:,} of {size:,} {unit or 'parts'}"
    if records == done:
        return f"{done:,} of {size:,} records"
    share = f"{done / size:.0%} of the source".replace("%", "\N{NO-BREAK SPACE}%")
    if records is None:
        return share
    return f"{records:,} records, {share}"
