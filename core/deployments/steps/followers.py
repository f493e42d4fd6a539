"""Writes into the collection that follows what the collection that leads has now.

Rule: an id is read from the leader after it was found to differ, never taken from the page of the
comparison. What is there is made and written, and what is not there is deleted. So a repeated write
does no harm, and an old value never comes back.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from qdrant_rollouts.core.collections.makers import open_makers
from qdrant_rollouts.core.collections.merging import Side
from qdrant_rollouts.core.collections.origins import digest_origin, digest_point
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import (
    MARK_KEY,
    BadRecord,
    Record,
    build_payload,
    parse_row,
    plain_vectors,
    point_row,
    read_mark,
)
from qdrant_rollouts.core.collections.schema import vector_names
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.deployments.steps.record_vectors import (
    RecordVectors,
    VectorCounts,
    find_live_vectors,
)
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Point, PointId, Row, VectorStore
from qdrant_rollouts.core.services import Services

#: Ids that are read, made and written at once: few at first, then more while they are made quickly.
FIRST_BATCH = 16
_LARGEST_BATCH = 256
#: Seconds for a batch.
_QUICK = 5.0
_SLOW = 10.0
#: A mark of a point that was written after the source had been counted.
_LATER = 0


@dataclass(slots=True)
class Written:
    """How many points a follower got and lost. ``bad`` are records that break a rule and were left
    out. ``stopped_at`` is the first id that was left for later; None if all were brought over."""

    made: int = 0
    deleted: int = 0
    bad: list[BadRecord] = field(default_factory=list)
    stopped_at: PointId | None = None


class Follower(Protocol):
    """A collection that is kept like a leader. Its points are copies, or made from the leader's
    payloads."""

    @property
    def leading(self) -> Side: ...

    @property
    def following(self) -> Side: ...

    def make(self, points: Sequence[Point], written: Written) -> list[Point]:
        """Returns the follower's points for those of the leader."""


def _allow(seconds: float) -> None:
    """Whoever calls is sure that it may write."""


def finish_all() -> bool:
    """As ``goes_on`` of whoever needs all ids at once."""
    return True


def apply_changes(
    store: VectorStore,
    follower: Follower,
    ids: Sequence[PointId],
    *,
    deletes: bool = True,
    check: Callable[[float], None] = _allow,
    goes_on: Callable[[], bool] = finish_all,
    clock: Callable[[], float] = time.monotonic,
) -> Written:
    """Brings ``ids`` of the follower to what the leader has now. May be repeated. ``deletes``:
    whether points that the leader has no longer are deleted. ``check`` is called before each write,
    and raises if the caller may not write any more. ``goes_on`` is asked after each batch. A slow
    model gets small batches, because a worker has a minute for one."""
    written = Written()
    size = FIRST_BATCH
    done = 0
    while done < len(ids):
        if done and not goes_on():
            written.stopped_at = ids[done]
            break
        started = clock()
        batch = ids[done : done + size]
        found = store.fetch(follower.leading.collection, batch, vectors=True)
        there = {point.id for point in found}
        gone = [id for id in batch if deletes and id not in there]
        points = follower.make(found, written)
        check(0)
        store.delete(follower.following.collection, gone)
        store.upsert(follower.following.collection, points)
        written.deleted += len(gone)
        written.made += len(points)
        done += len(batch)
        size = resize_batch(size, clock() - started)
    return written


def resize_batch(size: int, seconds: float) -> int:
    """Returns how many are made at once after ``size`` of them took ``seconds``."""
    if seconds < _QUICK:
        return min(size * 2, _LARGEST_BATCH)
    return max(size // 2, 1) if seconds > _SLOW else size


class CopyFollower:
    """Points are copied as they are. Payloads and vectors of both sides are compared."""

    def __init__(self, store: VectorStore, leader: str, follower: str) -> None:
        names = frozenset(vector_names(store.schema(follower)))

        def digest(point: Point) -> str:
            return digest_origin(point.payload, point.vector, names)

        self.leading = Side(leader, digest, vectors=True)
        self.following = Side(follower, digest, vectors=True)

    def make(self, points: Sequence[Point], written: Written) -> list[Point]:
        return list(points)


class RecordFollower:
    """Points are made from the leader's payloads, as ``populate`` makes them. A point's mark says
    what it was made from."""

    def __init__(
        self,
        services: Services,
        plan: VectorPlan,
        leader: str,
        follower: str,
        *,
        reuse_from: str | None,
        compares_payloads: bool = False,
    ) -> None:
        """``reuse_from``: the collection whose vectors are used again if their texts are the same,
        if there is one.
        ``compares_payloads``: the follower has served, so its points may be others than its marks
        say, and the payloads themselves are compared."""
        store = services.store
        schema = store.schema(follower)
        makers = open_makers(services, plan)
        live = find_live_vectors(store, reuse_from, schema) if reuse_from is not None else None
        self._plan = plan
        self._rules = RecordRules.of(plan, schema, None)
        self._vectors = RecordVectors(store, plan, makers, live, VectorCounts())
        takes = bool(plan.taken)
        self.leading = Side(leader, lambda point: digest_point(point, plan.taken), takes)
        self.following = (
            Side(follower, lambda point: digest_point(point, plan.taken), takes)
            if compares_payloads
            else Side(follower, _read_origin, fields=(MARK_KEY,))
        )

    def make(self, points: Sequence[Point], written: Written) -> list[Point]:
        rows = {point.id: self._as_row(point) for point in points}
        parsed = {id: parse_row(row, self._rules) for id, row in rows.items()}
        written.bad += [one for one in parsed.values() if isinstance(one, BadRecord)]
        records = {id: one for id, one in parsed.items() if isinstance(one, Record)}
        origins = {point.id: digest_point(point, self._plan.taken) for point in points}
        return build_points(self._vectors, records, origins)

    def _as_row(self, point: Point) -> Row:
        row = point_row(point, f"collection {self.leading.collection}, point {point.id}", {})
        taken = self._plan.taken_from_points(vectors_by_name(point.vector))
        return replace(row, vector=taken)


def build_points(
    vectors: RecordVectors, records: Mapping[PointId, Record], origins: Mapping[PointId, str]
) -> list[Point]:
    """Returns the points of records that came after the source was counted."""
    if not records:
        return []
    made = vectors.complete(records)
    return [
        Point(
            id,
            plain_vectors(made[id]),
            build_payload(record, vectors.hashes(record), _LATER, origins[id]),
        )
        for id, record in records.items()
    ]


def check_bad_records(written: Written, on_bad_record: str) -> None:
    """Raises Refused for the first bad record, unless the index file says that they are skipped."""
    if written.bad and on_bad_record == "fail":
        raise Refused(f"{written.bad[0]}. Correct it, or set on_bad_record: skip")


def _read_origin(point: Point) -> str:
    return str(read_mark(point.payload).get("from", ""))
