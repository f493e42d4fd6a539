"""Compares two collections as two sorted files are merged: page by page, in the order of the ids.

Rule: a piece of the comparison needs only the id at which it starts, so it can be continued by any
process. What is written behind that id is found by the next comparison.
"""

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qdrant_rollouts.core.ports import Point, PointId, PointStore

#: Points of a page of each side.
PAGE_POINTS = 1024
Digest = Callable[[Point], str]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two collections. ``digest`` says from what a point was made, or would be made;
    ``vectors``: whether it needs the point's vectors for that; ``fields``: which fields of the
    payload, if not all."""

    collection: str
    digest: Digest
    vectors: bool = False
    fields: tuple[str, ...] = ()

    def read_page(
        self, store: PointStore, start: PointId | None
    ) -> tuple[list[Point], PointId | None]:
        return store.scroll(
            self.collection,
            start,
            PAGE_POINTS,
            vectors=self.vectors,
            payload=self.fields or True,
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """What a piece has found. ``ids`` differ: they are on one side only, or were made from
    something else. ``following`` is where the next piece starts; None at the end. ``leading``: the
    digests of the leader's points that were looked at."""

    ids: list[PointId]
    following: PointId | None
    leading: Mapping[PointId, str]

    @property
    def checked(self) -> int:
        return len(self.leading)


class BucketDigests:
    """A digest of a whole collection in a few thousand numbers: each point is added to the bucket
    of its id. Two scans with equal buckets saw the same points there."""

    COUNT = 4096

    def __init__(self, text: str = "") -> None:
        """``text`` is what ``as_text`` returned."""
        self._numbers = [0] * self.COUNT
        if text:
            self._numbers = [int(text[at : at + 16], 16) for at in range(0, len(text), 16)]

    def add(self, digests: Mapping[PointId, str]) -> None:
        """Adds points by their digests. A point that is added twice is in it no longer."""
        for id, digest in digests.items():
            content = f"{id}\0{digest}".encode()
            number = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())
            self._numbers[bucket_of(id)] ^= number

    def merge(self, other: "BucketDigests") -> None:
        """Adds what another scan saw, of other points."""
        pairs = zip(self._numbers, other._numbers, strict=True)
        self._numbers = [one ^ two for one, two in pairs]

    def differing(self, other: "BucketDigests") -> set[int]:
        """Returns the buckets that are not equal."""
        pairs = zip(self._numbers, other._numbers, strict=True)
        return {at for at, (one, two) in enumerate(pairs) if one != two}

    def as_text(self) -> str:
        return "".join(f"{number:016x}" for number in self._numbers)


def bucket_of(id: PointId) -> int:
    return zlib.crc32(str(id).encode()) % BucketDigests.COUNT


def compare_page(
    store: PointStore,
    leader: Side,
    follower: Side,
    start: PointId | None,
    end: PointId | None = None,
) -> Compared:
    """Compares one page of both sides from ``start`` on, and nothing from ``end`` on."""
    theirs, theirs_next = leader.read_page(store, start)
    ours, ours_next = follower.read_page(store, start)
    horizon = _first_id([one for one in (theirs_next, ours_next, end) if one is not None])
    before = _digests_before(theirs, leader.digest, horizon)
    after = _digests_before(ours, follower.digest, horizon)
    differing = [id for id in before.keys() | after.keys() if before.get(id) != after.get(id)]
    following = None if horizon == end else horizon
    return Compared(sorted(differing, key=order_id), following, before)


def order_id(id: PointId) -> tuple[int, int, str]:
    """Returns the place of an id in the order of a scroll: integers, then UUIDs (qdrant-facts
    4.1)."""
    if isinstance(id, int):
        return 0, id, ""
    return 1, 0, id


def is_before(id: PointId, end: PointId | None) -> bool:
    return end is None or order_id(id) < order_id(end)


def stop_at(following: PointId | None, end: PointId | None) -> PointId | None:
    """Returns where a scroll goes on that stops before ``end``; None if it is over."""
    return following if following is not None and is_before(following, end) else None


def _first_id(ids: Sequence[PointId]) -> PointId | None:
    return min(ids, key=order_id, default=None)


def _digests_before(
    points: Sequence[Point], digest: Digest, horizon: PointId | None
) -> dict[PointId, str]:
    """A page ends earlier on one side than on the other. Beyond the first of the two ends nothing
    is known about one side."""
    end = None if horizon is None else order_id(horizon)
    return {point.id: digest(point) for point in points if end is None or order_id(point.id) < end}
