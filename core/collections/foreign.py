"""Finds out whether somebody has written to a collection: a sample of its payloads is kept, and
compared with the same points later.

Rule: the sample is bounded, so it may be less than the whole. Then its share is told with every
figure, and nobody says that nothing was written.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from qdrant_rollouts.core.collections.origins import digest_origin
from qdrant_rollouts.core.collections.schema import main_vector
from qdrant_rollouts.core.database.step_data import StepData
from qdrant_rollouts.core.ports import Point, PointId, VectorStore

#: Points of a sample: it takes about as much room in its row as the digests of a comparison, and is
#: read in less than a second.
MOST = 2000
_PAGE = 256
#: Hex digits of a digest. Two payloads have the same ones once in four thousand million times.
_DIGITS = 8
Digests = Mapping[PointId, str]


@dataclass(frozen=True, kw_only=True)
class Sample(StepData):
    """Points of a collection at some moment. ``points``: how many it had. ``packed``: the ids of
    the sample and the digests of their payloads. ``fault`` says why there is no sample."""

    points: int = 0
    packed: str = ""
    fault: str = ""

    def unpack(self) -> dict[PointId, str]:
        if not self.packed:
            return {}
        pairs = json.loads(zlib.decompress(base64.b64decode(self.packed)))
        return dict(pairs)


@dataclass(frozen=True, kw_only=True)
class ForeignWrites(StepData):
    """What a sample has shown. ``sampled`` of ``points`` points were looked at; the collection has
    ``now``. ``added`` is None if only a part was looked at: then nobody can know. ``ids`` are some
    of these points. ``fault`` says why nobody looked."""

    sampled: int = 0
    points: int = 0
    now: int = 0
    added: int | None = None
    changed: int = 0
    deleted: int = 0
    ids: Sequence[PointId] = field(default_factory=list)
    fault: str = ""

    @property
    def count(self) -> int:
        return self.changed + self.deleted + (self.added or 0)


def take_sample(store: VectorStore, collection: str, most: int = MOST) -> Sample:
    """Reads all points, or ``most`` of them at random if there are more."""
    points = store.count(collection)
    if points <= most:
        return pack_sample(points, scroll_digests(store, collection))
    drawn = store.sample(collection, main_vector(store.schema(collection)), most)
    return pack_sample(points, fetch_digests(store, collection, [point.id for point in drawn]))


def pack_sample(points: int, digests: Digests) -> Sample:
    pairs = json.dumps(list(digests.items()), separators=(",", ":")).encode()
    return Sample(points=points, packed=base64.b64encode(zlib.compress(pairs)).decode())


def scroll_digests(store: VectorStore, collection: str) -> dict[PointId, str]:
    """Returns the digests of a collection that is no larger than a sample, or was not lately. Ends
    after twice as many points."""
    found: dict[PointId, str] = {}
    position: PointId | None = None
    while True:
        store.pace(collection)
        page, position = store.scroll(collection, position, _PAGE, vectors=False)
        found |= _digest_points(page)
        if position is None or len(found) > 2 * MOST:
            return found


def fetch_digests(
    store: VectorStore, collection: str, ids: Sequence[PointId]
) -> dict[PointId, str]:
    """Returns the digests of those points that exist."""
    found: dict[PointId, str] = {}
    for start in range(0, len(ids), _PAGE):
        store.pace(collection)
        found |= _digest_points(store.fetch(collection, ids[start : start + _PAGE], vectors=False))
    return found


def list_differing(before: Digests, now: Digests) -> list[PointId]:
    return [id for id in {**before, **now} if before.get(id) != now.get(id)]


def _digest_points(points: Iterable[Point]) -> dict[PointId, str]:
    return {point.id: digest_origin(point.payload)[:_DIGITS] for point in points}
