"""Qdrant, or what behaves like it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qdrant_rollouts.core.defaults import CALL_SECONDS
from qdrant_rollouts.core.ports.limits import Limits
from qdrant_rollouts.core.ports.shapes import Hit, Point, PointId, QueryVector, Schema


@dataclass(frozen=True, slots=True)
class Health:
    """One look at a collection. ``None`` means the server is too old to report it, never "could not
    look".

    ``points`` and ``indexed_vectors`` are the server's approximate counters (qdrant-facts 7.4).
    ``worked`` is a number that changes while the optimizer makes progress; ``indexed_vectors``
    changes only when a whole segment is finished.

    ``optimizer`` is "ok" or the first error since the server started, which may be over
    (qdrant-facts 7.6): 1.16.3 shows it until it is restarted, also after everything was finished.
    ``failures`` is asked for only beside such an error: how often work on the index has failed so
    far, on all nodes together; None if not all of them report it. ``whole``: every node was asked;
    if one was not, the numbers are too low.
    """

    status: str
    optimizer: str
    points: int
    indexed_vectors: int
    segments: int
    optimizing: int | None = None
    worked: int | None = None
    queued: int | None = None
    deferred: int | None = None
    failures: int | None = None
    whole: bool = True

    @property
    def idle(self) -> bool:
        """Whether no work on the index is under way on any node, if all of them report it."""
        return self.whole and self.optimizing == 0


@dataclass(frozen=True, slots=True)
class Server:
    """The server that answers. ``version`` is (major, minor, patch); ``address`` has no
    credentials.

    An ``embedded`` store has no vector index, no snapshots and no second process. ``peers`` counts
    a cluster's nodes, ``nodes`` those that can be reached one by one.
    """

    version: tuple[int, int, int]
    address: str
    embedded: bool = False
    peers: int = 1
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bytes of the node that answered, and what is used of them; None if the server does not
    report it."""

    memory: int | None = None
    memory_used: int | None = None
    disk: int | None = None
    disk_used: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that are free at most, on each node; None if it is not known."""

    disk: int | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A finished snapshot on the server: ``size`` in bytes, ``sha256`` in hex as the server reports
    it, of one ``shard`` if it is on a cluster."""

    name: str
    size: int
    sha256: str
    shard: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParams:
    """How a search is made. ``using`` names the vector. ``filter`` and ``params`` are spelled as in
    Qdrant's REST API; ``exact`` is a word for one of the latter. ``seconds`` is how long it may
    take: exact searches of a large collection are slow."""

    using: str = ""
    exact: bool = False
    filter: Mapping[str, Any] | None = None
    params: Mapping[str, Any] | None = None
    score_threshold: float | None = None
    offset: int = 0
    seconds: float = CALL_SECONDS


class AliasStore(Protocol):
    """Which collection stands behind which name."""

    def aliases(self) -> dict[str, str]:
        """Every alias and the collection it points to."""

    def point_alias(self, alias: str, collection: str) -> None:
        """One ``create_alias`` action: makes the alias or repoints it in one act (qdrant-facts
        2.1)."""

    def drop_alias(self, alias: str) -> None:
        """Removes the alias; a missing alias is no error."""


class CollectionStore(Protocol):
    """Collections as a whole: creates and drops them, and reads and changes their settings."""

    def collections(self) -> set[str]: ...

    def create(self, collection: str, schema: Schema, metadata: Mapping[str, Any]) -> None:
        """Creates the collection with its payload indexes. Raises Refused if the name exists.

        ``metadata`` is there from the first moment: a collection that a dead process left
        incomplete can be recognised by it.
        """

    def drop(self, collection: str) -> None:
        """Deletes the collection **and, silently, its aliases** (qdrant-facts 2.7): guard each
        call. A missing collection is no error."""

    def schema(self, collection: str) -> Schema:
        """The settings, without metadata. Raises Refused when there is no such collection."""

    def set_strict_mode(self, collection: str, settings: Mapping[str, Any]) -> None:
        """Merges ``settings`` into the collection's ``strict_mode_config``; no limit can be taken
        out of it.
        """

    def limits(self, collection: str) -> Limits:
        """What the collection's strict mode allows now. Accepts an alias too."""

    def pace(self, collection: str) -> None:
        """Returns when our share of the collection's rate allows another piece of work. Every read
        is counted but ``search``, which is an application's. Raises Limited if that takes more than
        a few seconds, so call it before a piece of work and never within one.
        """

    def index_counts(self, collection: str) -> dict[str, int]:
        """By field, how many points each payload index holds; empty if there are no such indexes or
        the store does not count, as the embedded store."""

    def metadata(self, collection: str) -> dict[str, Any]: ...

    def set_metadata(self, collection: str, metadata: Mapping[str, Any]) -> None:
        """Merges ``metadata`` into the collection's; a key set to None is removed."""

    def health(self, collection: str) -> Health: ...

    def wake(self, collection: str) -> None:
        """Makes a server continue unfinished work that it left (status grey, after a restart), or
        that has failed. Work that is under way begins anew, so do not call this during any."""


class PointStore(Protocol):
    """The points of a collection: writes, reads, counts and searches them."""

    def count(self, collection: str, having: str | None = None) -> int:
        """Exact number of points, or of those that have the vector named ``having``. Where strict
        mode forbids exact counts the points are read; raises Refused, naming the limits, where
        those are too many.
        """

    def sample(self, collection: str, having: str, size: int) -> list[Point]:
        """``size`` points drawn at random among those that have the vector named ``having``, or all
        of them, with that vector alone and without payload."""

    def draw_ids(self, collection: str, size: int) -> list[PointId]:
        """At most ``size`` ids drawn at random, each once, without reading vectors or payloads."""

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Writes whole points and returns when they are applied (``wait=true``, status
        completed)."""

    def patch_points(self, collection: str, points: Sequence[Point]) -> None:
        """Merges payloads into points that exist, replaces those of their vectors that are given,
        and returns when that is applied. None in a payload removes the key. A missing point is no
        error and is not made.
        """

    def delete(self, collection: str, ids: Sequence[PointId]) -> None:
        """Deletes points and returns when that is applied; a missing id is no error."""

    def await_writes(self, collection: str) -> None:
        """Returns when every write that the server took before is applied (qdrant-facts 6.1). It is
        itself a write that changes nothing, so a rate limit of writes counts it."""

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]:
        """Those of ``ids`` that exist, in no particular order; empty ``vector`` when ``vectors`` is
        False."""

    def scroll(
        self,
        collection: str,
        after: PointId | None,
        limit: int,
        *,
        vectors: bool = True,
        payload: bool | Sequence[str] = True,
    ) -> tuple[list[Point], PointId | None]:
        """A page of points by ascending id, and where the next page starts (None: no more). Strict
        mode may allow fewer than ``limit``.

        Dense vectors come as float32 arrays, by name or one alone. A part that is not asked for
        comes empty, and the answer is faster. ``payload`` may name the fields that are needed.
        """

    def copy(
        self,
        source: str,
        target: str,
        after: PointId | None,
        seconds: float,
        until: PointId | None = None,
    ) -> tuple[int, PointId | None]:
        """Streams points unchanged from ``source`` to ``target`` for about ``seconds``: those from
        the id ``after`` on, before the id ``until``. None: from the first, or to the last.

        Returns how many were written **and acknowledged**, and where to go on (None: all copied).
        """

    def facet(self, collection: str, field: str, limit: int) -> dict[str, int]:
        """The most frequent values of an indexed payload field and their exact counts, most
        frequent first. Raises Refused where the field has no index that can be counted, or where
        strict mode forbids exact counts. It may allow fewer values than ``limit``.
        """

    def search(
        self,
        collection: str,
        vector: QueryVector,
        limit: int,
        how: SearchParams = SearchParams(),
    ) -> list[Hit]:
        """The nearest points, best first, with payload. ``vector`` is of the kind of the vector
        that is searched: numbers, rows of a multivector, or indices and values of a sparse one. Of
        a fused query each part names its own vector; the rest of ``how`` holds for every part.
        Accepts an alias too.
        """

    def search_many(
        self,
        collection: str,
        vectors: Sequence[QueryVector],
        limit: int,
        how: SearchParams = SearchParams(),
    ) -> list[list[Hit]]:
        """The nearest points of each vector, in the order of the vectors, **without payload**: one
        request for all, or several where strict mode allows fewer results, or fewer searches, in
        one. A threshold and an offset are ignored.
        """


class SnapshotStore(Protocol):
    """A collection as files."""

    def snapshots(self, collection: str) -> set[str]: ...

    def parts(self, collection: str) -> int:
        """How many snapshots together are the collection: one, or on a cluster one of each
        shard."""

    def make_snapshot(self, collection: str, seconds: float, part: int = 0) -> Snapshot:
        """Makes a snapshot of one of the ``parts`` and returns it when it is made, ``sha256`` being
        empty if the server gives none. Only this answer says which snapshot it is. Raises
        OutcomeUnknown if there is no answer within ``seconds``: the server may make it all the
        same."""

    def check_recovery(self, target: str, source: str) -> None:
        """Raises Refused if ``target`` is no collection, or if the server cannot fetch its own
        snapshots of ``source``. Changes nothing."""

    def recover(self, target: str, source: str, snapshot: Snapshot, seconds: float) -> None:
        """Fills ``target`` from a snapshot of ``source``, and returns when all of it is there. It
        replaces all points of ``target``, and makes ``target`` if it is missing. Raises
        OutcomeUnknown if there is no answer within ``seconds``: the server may do it all the same,
        at any later time."""

    def snapshot(self, collection: str, snapshot: str) -> Snapshot:
        """Raises Refused if there is no finished snapshot of this name."""

    def download_snapshot(self, collection: str, snapshot: str, start: int) -> Iterator[bytes]:
        """The snapshot's bytes from ``start`` on; the caller may stop at any piece. Raises Refused
        if there is none."""

    def upload_snapshot(self, target: str, snapshot: Snapshot, content: Iterable[bytes]) -> None:
        """Makes the new collection ``target`` from a snapshot's bytes, or fills the shard of one
        that is there, and returns when the server has them: it does not report a later failure, so
        look at ``count``. Raises Refused if a ``target`` that is to be made exists, or an alias of
        this name. What ``content`` raises goes through, and the server then has nothing."""

    def drop_snapshot(self, collection: str, snapshot: str) -> None: ...


class VectorStore(AliasStore, CollectionStore, PointStore, SnapshotStore, Protocol):
    """Qdrant, or what behaves like it. Calls time out within 10 s; ``point_alias``, ``drop_alias``,
    ``drop`` in 5 s.

    Functions name the part that they need."""

    @property
    def embedded(self) -> bool:
        """Whether the store is inside this process. Answers at once, while ``server`` may have to
        wait."""

    def server(self) -> Server: ...

    def capacity(self) -> Capacity: ...

    def room(self) -> Room:
        """What is free at most for another collection, as far as it is known."""

    def close(self) -> None: ...


class Searches(Protocol):
    """The one call of ``VectorStore`` that applications make for their users, without blocking an
    event loop."""

    async def search(
        self,
        collection: str,
        vector: QueryVector,
        limit: int,
        how: SearchParams = SearchParams(),
    ) -> list[Hit]:
        """As ``VectorStore.search``."""

    async def close(self) -> None: ...
