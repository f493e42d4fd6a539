"""Is a collection's index finished? Green alone proves nothing, and neither does one look (qdrant-facts 7.1, 7.2).

Rule: ready is three looks in a row, over at least five seconds, that each find it ready; whoever waits counts them.

An error that the server shows may be over: 1.16.3 keeps the first one until it is restarted, though room was made and
all work is done (measured). So the server is asked to try again, and what counts is whether anything fails then. What
may mend by itself is waited for; only what is known not to is broken.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event

from qdrant_rollouts.core.collections.schema import unindexed_bound, vector_kind, vector_names
from qdrant_rollouts.core.config.vector_kinds import KINDS, vectors_by_name
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Health, PointStore, Schema, VectorStore
from qdrant_rollouts.core.statistics.intervals import share_interval

#: Points that are looked at for empty sparse vectors, and the standard errors added to their share.
_SAMPLE = 1000
_SURE = 3.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """``reason`` says why not ready, in words; ``broken`` that waiting will not help; ``failing`` that work on the
    index fails, which may mend; ``asleep`` that the server has work to do and will not begin until
    ``VectorStore.wake``."""

    ready: bool
    broken: bool = False
    reason: str = ""
    asleep: bool = False
    failing: bool = False


#: What a server says of itself that no waiting and no trying again mends: it has to be restarted, or the collection
#: made anew. Everything else is waited for, also what nobody has met yet.
_HOPELESS = re.compile(
    r"panic|unstable state|corrupt|checksum|crc mismatch|inconsistent storage|data loss|unsupported.*version"
    r"|process is dead|read-only file system",
    re.IGNORECASE,
)
#: Seconds until what was woken has failed at once, as it does where there is no room (0.0003 s, measured on 1.16.3).
_TRY = 0.5
_never = Event()
#: Consecutive looks that must find the index ready.
READY_LOOKS = 3


def judge_readiness(schema: Schema, health: Health, vectors: int) -> Readiness:
    """``vectors``: how many are stored, see ``count_vectors``; the number of points does for a collection of one
    vector."""
    if shows_error(health):
        return _failed(health)
    reason = _describe_unfinished(health) or _describe_unindexed(schema, health, vectors)
    return Readiness(ready=not reason, reason=reason, asleep=health.status == "grey")


def watch(
    store: VectorStore, collection: str, schema: Schema, health: Health, failures: int | None = None
) -> Readiness:
    """``inspect_readiness``, where an error that the server shows may be over: it is asked to try again, unless it is
    at work. Over is an error after which all is indexed, nothing is under way and no failure was counted anew.
    ``failures``: how many were counted at the last look."""
    if not shows_error(health) or _failed(health).broken:
        return inspect_readiness(store, collection, schema, health)
    now = _woken(store, collection, health)
    if not shows_error(now):
        return inspect_readiness(store, collection, schema, now)
    known = health.failures if failures is None else failures
    if now.optimizer == "ok" or not now.whole or now.optimizing is None or now.failures != known:
        return _failed(now)
    seen = inspect_readiness(store, collection, schema, replace(now, status="green", optimizer="ok"))
    if seen.ready or now.optimizing:
        return seen
    return _failed(now, f"; {seen.reason}")


def failure(store: VectorStore, collection: str) -> Readiness | None:
    """What fails in the server's work on this collection; None where nothing does, also where it is not finished."""
    health = store.health(collection)
    if not shows_error(health):
        return None
    try:
        seen = watch(store, collection, store.schema(collection), health)
    except Refused:  # strict mode does not let vectors be counted
        seen = _failed(health)
    return seen if seen.failing or seen.broken else None


def rouse(store: VectorStore, collection: str) -> None:
    """After a write that failed: a server that ran out of room takes no other write until it has done that one, and
    tries it again only when it is woken (measured on 1.16.3)."""
    health = store.health(collection)
    if shows_error(health) and health.idle:
        store.wake(collection)


def measure_work(health: Health) -> list[int | None]:
    """What changes from look to look while the server is indexing: the build of one large segment takes hours in which
    only the optimizer's own count moves."""
    return [health.indexed_vectors, health.segments, health.optimizing, health.worked, health.queued]


def is_at_work(health: Health, before: Sequence[int | None] | None) -> bool:
    """Whether the server has got on since ``before`` was measured. One that does not tell how far its optimizer is gets
    taken at its word while it is yellow."""
    moved = measure_work(health) != before
    return moved or (health.worked is None and health.status == "yellow")


def shows_error(health: Health) -> bool:
    return health.status == "red" or health.optimizer != "ok"


def _woken(store: VectorStore, collection: str, health: Health) -> Health:
    if health.idle:
        store.wake(collection)
        _never.wait(_TRY)
    return store.health(collection)


def _failed(health: Health, more: str = "") -> Readiness:
    hopeless = bool(_HOPELESS.search(health.optimizer))
    reason = f"status {health.status}, optimizer: {health.optimizer}{more}"
    return Readiness(ready=False, broken=hopeless, failing=not hopeless, reason=reason)


def inspect_readiness(store: VectorStore, collection: str, schema: Schema, health: Health) -> Readiness:
    """``judge_readiness``, with what is stored counted by ``store``. An empty sparse vector is stored and
    never indexed (measured on 1.16.3); nobody counts those, so a random sample says how many there
    may be."""
    vectors = count_vectors(schema, lambda name: store.count(collection, having=name))
    seen = judge_readiness(schema, health, vectors)
    sparse = [name for name in vector_names(schema) if not vector_kind(schema, name).lazily]
    if seen.ready or not sparse or not judge_readiness(schema, health, 0).ready:
        return seen
    if len(sparse) == len(vector_names(schema)):
        return judge_readiness(schema, health, 0)
    return judge_readiness(
        schema, health, vectors - sum(_estimate_empty_vectors(store, collection, name) for name in sparse)
    )


def _estimate_empty_vectors(store: PointStore, collection: str, name: str) -> int:
    """How many sparse vectors of this name are empty, at most."""
    sample = store.sample(collection, name, _SAMPLE)
    there = store.count(collection, having=name)
    empty = sum(KINDS["sparse"].empty(vectors_by_name(point.vector)[name]) for point in sample)
    if not sample or not empty or len(sample) >= there:
        return empty
    return math.ceil(there * share_interval(empty, len(sample), _SURE).high)


def count_vectors(schema: Schema, count: Callable[[str], int]) -> int:
    """How many vectors the index must hold: the server counts them over all names, and a point need not have each.

    ``count`` gives the exact number of points that have the vector of a name.
    """
    return sum(count(name) for name in vector_names(schema))


def estimate_points(store: VectorStore, collection: str) -> int:
    """How many points there are; what the server says of it by itself where strict mode allows no
    exact count.
    """
    try:
        return store.count(collection)
    except Refused:
        return store.health(collection).points


def _describe_unfinished(health: Health) -> str:
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


def _describe_unindexed(schema: Schema, health: Health, vectors: int) -> str:
    needed = vectors - unindexed_bound(schema, health)
    if health.indexed_vectors >= needed:
        return ""
    return f"{health.indexed_vectors:,} of {vectors:,} vectors indexed, at least {needed:,} must be"
