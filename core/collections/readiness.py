"""Is a collection's index finished? Green alone proves nothing, and neither does one look (qdrant-facts 7.1, 7.2).

Rule: ready is three looks in a row, over at least five seconds, that each find it ready; whoever waits counts them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from qdrant_rollouts.core.collections.schema import unindexed_bound, vector_kind, vector_names
from qdrant_rollouts.core.config.vector_kinds import KINDS, by_name
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Health, PointStore, Schema, VectorStore
from qdrant_rollouts.core.statistics.intervals import share

#: Points that are looked at for empty sparse vectors, and the standard errors added to their share.
_SAMPLE, _SURE = 1000, 3.0


@dataclass(frozen=True, slots=True)
class Look:
    """``reason`` says why not ready, in words; ``broken`` that waiting will not help; ``asleep`` that the server has
    work to do and will not begin until ``VectorStore.wake``."""

    ready: bool
    broken: bool = False
    reason: str = ""
    asleep: bool = False


def look(schema: Schema, health: Health, vectors: int) -> Look:
    """``vectors``: how many are stored, see ``stored``; the number of points does for a collection of one vector."""
    if health.status == "red" or health.optimizer != "ok":
        return Look(ready=False, broken=True, reason=f"status {health.status}, optimizer: {health.optimizer}")
    reason = _unfinished(health) or _unindexed(schema, health, vectors)
    return Look(ready=not reason, reason=reason, asleep=health.status == "grey")


def examine(store: VectorStore, collection: str, schema: Schema, health: Health) -> Look:
    """``look``, with what is stored counted by ``store``. An empty sparse vector is stored and
    never indexed (measured on 1.16.3); nobody counts those, so a random sample says how many there
    may be."""
    vectors = stored(schema, lambda name: store.count(collection, having=name))
    seen = look(schema, health, vectors)
    sparse = [name for name in vector_names(schema) if not vector_kind(schema, name).lazily]
    if seen.ready or not sparse or not look(schema, health, 0).ready:
        return seen
    if len(sparse) == len(vector_names(schema)):
        return look(schema, health, 0)
    return look(schema, health, vectors - sum(_empty(store, collection, name) for name in sparse))


def _empty(store: PointStore, collection: str, name: str) -> int:
    """How many sparse vectors of this name are empty, at most."""
    sample, there = store.sample(collection, name, _SAMPLE), store.count(collection, having=name)
    empty = sum(KINDS["sparse"].empty(by_name(point.vector)[name]) for point in sample)
    if not sample or not empty or len(sample) >= there:
        return empty
    return math.ceil(there * share(empty, len(sample), _SURE).high)


def stored(schema: Schema, count: Callable[[str], int]) -> int:
    """How many vectors the index must hold: the server counts them over all names, and a point need not have each.

    ``count`` gives the exact number of points that have the vector of a name.
    """
    return sum(count(name) for name in vector_names(schema))


def about(store: VectorStore, collection: str) -> int:
    """How many points there are; what the server says of it by itself where strict mode allows no
    exact count.
    """
    try:
        return store.count(collection)
    except Refused:
        return store.health(collection).points


def _unfinished(health: Health) -> str:
    if health.status == "grey":
        return "status grey: the server has not begun to optimize"
    if health.status != "green":
        return f"status {health.status}: the server is optimizing"
    for number, what in (
        (health.optimizing, "optimizations running or queued"),
        (health.queued, "updates queued"),
        (health.deferred, "points deferred, hidden from search"),
    ):
        if number:
            return f"{number:,} {what}"
    return ""


def _unindexed(schema: Schema, health: Health, vectors: int) -> str:
    needed = vectors - unindexed_bound(schema, health)
    if health.indexed_vectors >= needed:
        return ""
    return f"{health.indexed_vectors:,} of {vectors:,} vectors indexed, at least {needed:,} must be"
