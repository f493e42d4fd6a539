"""A version's row as plain data; ``core.collections.versions`` explains its ``facts``."""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.answers.indexes import Mark
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.sanitize.quoting import add_reason
from qdrant_rollouts.core.times import as_iso


def version_as_dict(row: Version) -> dict[str, Any]:
    named = {
        "alias": row.alias,
        "number": row.number,
        "parent": row.parent,
        "deployment": row.deployment_id,
    }
    return {**named, "created_at": as_iso(row.created_at), **row.facts}


def describe_mark(row: Version) -> Mark | None:
    """Returns the mark of a version that a person has marked bad; None for any other."""
    if row.marked_bad_at is None:
        return None
    return {
        "at": as_iso(row.marked_bad_at),
        "by": row.marked_bad_by or "",
        "reason": row.marked_bad_because or "",
    }


def say_mark(mark: Mapping[str, Any]) -> str:
    """Returns who has marked a version bad, and why, in words."""
    return add_reason(f"marked bad by {mark['by']}", mark["reason"])


def name_version(row: Version) -> str:
    return f"{row.collection} (version {row.number})"
