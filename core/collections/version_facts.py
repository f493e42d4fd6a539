"""A version's row as plain data; ``core.collections.versions`` explains its ``facts``."""

from typing import Any

from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.times import as_iso


def version_as_dict(row: Version) -> dict[str, Any]:
    named = {
        "alias": row.alias,
        "number": row.number,
        "parent": row.parent,
        "deployment": row.deployment_id,
    }
    return {**named, "created_at": as_iso(row.created_at), **row.facts}
