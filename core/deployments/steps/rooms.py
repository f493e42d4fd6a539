"""Checks, before green is made, whether its need of disk and memory is known to exceed what is
free."""

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from qdrant_rollouts.core.collections import room
from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps import reading
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.ports import Schema

#: Seconds until the next check: others may have made room by then.
AGAIN = 10.0
_SAMPLE = 100
_SECONDS = 1.0
#: Sources that are files on this machine. To read their first records costs almost nothing.
_FILES = ("jsonl:", "csv:", "parquet:")


def look(context: StepContext, wanted: Schema) -> tuple[str, str]:
    """Returns a description of the need, and a description of what is clearly missing, or nothing.
    If something cannot be known, this check does not stop the deployment."""
    deployment = context.deployment
    store = context.services.store
    if not deployment.spec.check_room:
        return "", ""
    try:
        points, payloads = _expected(context)
        if points is None:
            return "room: the number of points is not known", ""
        need = room.estimate_need(wanted, points, room.payload_bytes(payloads), store.server())
        free = store.room()
    except AppError as error:
        return f"room: not known, {error}", ""
    short = room.lacks(need, free)
    if short:
        short = (
            f"{deployment.green} needs {short}. Make room (`rollouts gc` shows what can be "
            f"deleted), or set check_room: false for {deployment.alias} if you know better"
        )
    return f"room: {room.describe_room(need, free)}", short


def look_for_clone(context: StepContext, collection: str) -> str:
    """Returns what is clearly missing for a clone of the collection; empty if it may fit, or if
    that cannot be known."""
    store = context.services.store
    if not context.deployment.spec.check_room:
        return ""
    try:
        store.pace(collection)
        found, _ = store.scroll(collection, None, _SAMPLE, vectors=False)
        size = room.payload_bytes([point.payload for point in found])
        points = estimate_points(store, collection)
        need = room.estimate_clone(store.schema(collection), points, size, store.server())
        short = room.lacks(need, store.room())
    except AppError:
        return ""
    if not short:
        return ""
    return f"a clone needs {short}"


def _expected(context: StepContext) -> tuple[int | None, Sequence[Mapping[str, Any]]]:
    """Returns how many points there will be (from the live collection, the source collection, or a
    file's first records), and some payloads."""
    store = context.services.store
    source = reading.open_deployment_source(context)
    like = context.deployment.blue or source.collection
    if like is not None:
        store.pace(like)
        found, _ = store.scroll(like, None, _SAMPLE, vectors=False)
        return estimate_points(store, like), [point.payload for point in found]
    # A compressed file does not say how much it holds.
    if not source.address.startswith(_FILES) or source.size_unit == "blocks":
        return None, []
    ends = time.monotonic() + _SECONDS
    rows = []
    for row in islice(source.read(None), _SAMPLE):
        rows.append(row)
        if time.monotonic() >= ends:
            break
    done = 0
    if rows:
        done = int(rows[-1].cursor.get("done", 0))
    if not done:
        return None, []
    return round(len(rows) * source.size() / done), [row.fields or {} for row in rows]
