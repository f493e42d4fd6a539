"""Is a collection's index finished? The status green alone proves nothing, and neither does one
look (qdrant-facts 7.1, 7.2).

Rule: a collection is ready after three looks in a row, over at least five seconds, that each find
it ready; the caller counts them.

An error that the server shows may be over: 1.16.3 shows the first one until a restart, even after
space was freed and all work is done (measured). So the server is asked to try again, and only a new
failure counts. Errors that may go away are waited for; only errors that are known to stay mean that
the collection is broken.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event

from qdrant_rollouts.core.collections.schema import unindexed_bound, vector_kind, vector_names
from qdrant_rollouts.core.config.vector_kinds import KINDS, vectors_by_name
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import CollectionStore, Health, PointStore, Schema, VectorStore
from qdrant_rollouts.core.statistics.intervals import share_interval

#: Points that are checked for empty sparse vectors, and the standard errors added to their share.
_SAMPLE = 1000
_SURE = 3.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """``reason`` says why the collection is not ready. ``broken``: waiting will not help.
    ``failing``: work on the index fails, which may go away. ``asleep``: the server has work to do
    and will not begin until ``VectorStore.wake``. ``gone``: there is no such collection."""

    ready: bool
    broken: bool = False
    reason: str = ""
    asleep: bool = False
    failing: bool = False
    gone: bool = False


GONE = Readiness(ready=False, broken=True, reason="it does not exist", gone=True)


#: Server messages about errors that do not go away by waiting or trying again: the server must be
#: restarted, or the collection made again. All other errors are waited for, including unknown ones.
_HOPELESS = re.compile(
    r"panic|unstable state|corrupt|checksum|crc mismatch|inconsistent storage"
    r"|data loss|unsupported.*version"
    r"|process is dead|read-only file system",
    re.IGNORECASE,
)
#: Seconds after which woken work has failed if it fails at once, as it does without disk space
#: (0.0003 s, measured on 1.16.3).
_TRY = 0.5
_never = Event()
#: Consecutive looks that must find the index ready.
READY_LOOKS = 3


def judge_readiness(schema: Schema, health: Health, vectors: int) -> Readiness:
    """``vectors``: how many vectors are stored, see ``count_vectors``; for a collection with one
    vector the number of points."""
    if shows_error(health):
        return _describe_failure(health)
    reason = _describe_unfinished(health) or _describe_unindexed(schema, health, vectors)
    return Readiness(ready=not reason, reason=reason, asleep=health.status == "grey")


def watch(
    store: VectorStore, collection: str, schema: Schema, health: Health, failures: int | None = None
) -> Readiness:
    """As ``inspect_readiness``, for an error that may be over: asks the server to try again, unless
    it is working. The error is over if everything is indexed, no work is going on and no new
    failure was counted. ``failures``: the number counted at the last look."""
    if not shows_error(health) or _describe_failure(health).broken:
        return inspect_readiness(store, collection, schema, health)
    now = _woken(store, collection, health)
    if not shows_error(now):
        return inspect_readiness(store, collection, schema, now)
    known = failures
    if failures is None:
        known = health.failures
    if now.optimizer == "ok" or not now.whole or now.optimizing is None or now.failures != known:
        return _describe_failure(now)
    seen = inspect_readiness(
        store, collection, schema, replace(now, status="green", optimizer="ok")
    )
    if seen.ready or now.optimizing:
        return seen
    return _describe_failure(now, f"; {seen.reason}")


def find_failure(store: VectorStore, collection: str) -> Readiness | None:
    """Returns what fails in the server's work on this collection, or ``GONE``; None if nothing
    fails, even if the work is not finished."""
    if collection not in store.collections():
        return GONE
    health = store.health(collection)
    if not shows_error(health):
        return None
    try:
        seen = watch(store, collection, store.schema(collection), health)
    except Refused:  # strict mode forbids counting vectors
        seen = _describe_failure(health)
    if seen.failing or seen.broken:
        return seen
    return None


def why_unable_to_serve(collection: str, seen: Readiness | None) -> str:
    """Returns why no search may be sent to a collection that was found like this, or nothing. An
    index that is not finished can serve; one that is broken or gone cannot."""
    if seen is None or not seen.broken:
        return ""
    if seen.gone:
        return f"{collection} does not exist any more"
    return f"{collection} is broken: {seen.reason}"


def rouse(store: CollectionStore, collection: str) -> None:
    """Call this after a write that failed. A server that ran out of space accepts no other write
    until it has done that one, and it tries again only when it is woken (measured on 1.16.3)."""
    health = store.health(collection)
    if shows_error(health) and health.idle:
        store.wake(collection)


def measure_work(health: Health) -> list[int | None]:
    """What changes from look to look while the server is indexing: the build of one large segment
    takes hours in which only the optimizer's own count moves."""
    return [
        health.indexed_vectors,
        health.segments,
        health.optimizing,
        health.worked,
        health.queued,
    ]


def is_at_work(health: Health, before: Sequence[int | None] | None) -> bool:
    """Whether the server has got on since ``before`` was measured. One that does not tell how far
    its optimizer is gets taken at its word while it is yellow."""
    moved = measure_work(health) != before
    return moved or (health.worked is None and health.status == "yellow")


def shows_error(health: Health) -> bool:
    return health.status == "red" or health.optimizer != "ok"


def _woken(store: CollectionStore, collection: str, health: Health) -> Health:
    if health.idle:
        store.wake(collection)
        _never.wait(_TRY)
    return store.health(collection)


def _describe_failure(health: Health, more: str = "") -> Readiness:
    hopeless = bool(_HOPELESS.search(health.optimizer))
    reason = f"status {health.status}, optimizer: {health.optimizer}{more}"
    return Readiness(ready=False, broken=hopeless, failing=not hopeless, reason=reason)


def inspect_readiness(
    store: PointStore, collection: str, schema: Schema, health: Health
) -> Readiness:
    """As ``judge_readiness``, with the stored vectors counted by ``store``. An empty sparse vector
    is stored but never indexed (measured on 1.16.3), and nothing counts those, so a random sample
    estimates how many there may be."""
    vectors = count_vectors(schema, lambda name: store.count(collection, having=name))
    seen = judge_readiness(schema, health, vectors)
    sparse = [name for name in vector_names(schema) if not vector_kind(schema, name).lazily]
    if seen.ready or not sparse or not judge_readiness(schema, health, 0).ready:
        return seen
    if len(sparse) == len(vector_names(schema)):
        return judge_readiness(schema, health, 0)
    return judge_readiness(
        schema,
        health,
        vectors - sum(_estimate_empty_vectors(store, collection, name) for name in sparse),
    )


def _estimate_empty_vectors(store: PointStore, collection: str, name: str) -> int:
    """Returns an upper bound for the number of empty sparse vectors of this name."""
    sample = store.sample(collection, name, _SAMPLE)
    there = store.count(collection, having=name)
    empty = sum(KINDS["sparse"].empty(vectors_by_name(point.vector)[name]) for point in sample)
    if not sample or not empty or len(sample) >= there:
        return empty
    return math.ceil(there * share_interval(empty, len(sample), _SURE).high)


def count_vectors(schema: Schema, count: Callable[[str], int]) -> int:
    """Returns how many vectors the index must hold. The server counts over all names, and a point
    need not have every vector.

    ``count`` returns the exact number of points that have the vector of a name.
    """
    return sum(count(name) for name in vector_names(schema))


def estimate_points(store: VectorStore, collection: str) -> int:
    """Returns the number of points; the server's own estimate if strict mode forbids an exact
    count."""
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
