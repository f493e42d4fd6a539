"""A version's row as plain data; what its ``facts`` are stands in ``core.versions``."""

from typing import Any

from core.models import Version
from core.times import iso


def plain(row: Version) -> dict[str, Any]:
    named = {"alias": row.alias, "number": row.number, "parent": row.parent, "deployment": row.deployment_id}
    return {**named, "created_at": iso(row.created_at), **row.facts}
