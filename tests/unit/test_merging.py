"""Two collections are compared page by page as two sorted files are merged."""

import uuid
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qdrant_rollouts.core.collections import merging
from qdrant_rollouts.core.collections.merging import BucketDigests, Side, compare_page, order_id
from qdrant_rollouts.core.collections.origins import digest_origin
from qdrant_rollouts.core.ports import Point, PointId

UUIDS = [str(uuid.UUID(int=number << 90)) for number in range(1, 20)]
IDS = st.one_of(st.integers(0, 40), st.sampled_from(UUIDS))
SIDE = st.dictionaries(IDS, st.sampled_from(["a", "b"]), max_size=40)


class Pages:
    """Collections in memory that scroll as a server does: by ascending id, the next page begins at
    the id that is told."""

    def __init__(self, limit: int, **sides: Mapping[PointId, str]) -> None:
        self._limit = limit
        self._sides = sides

    def scroll(
        self, collection: str, after: PointId | None, limit: int, **asked: Any
    ) -> tuple[list[Point], PointId | None]:
        side = self._sides[collection]
        ids = sorted(side, key=order_id)
        if after is not None:
            ids = [id for id in ids if order_id(id) >= order_id(after)]
        page, rest = ids[: self._limit], ids[self._limit :]
        points = [Point(id, [], {"text": side[id]}) for id in page]
        return points, rest[0] if rest else None


def compare_all(pages: Pages) -> tuple[list[PointId], int]:
    one, other = (Side(name, lambda point: point.payload["text"]) for name in ("blue", "green"))
    found: list[PointId] = []
    checked = 0
    start: PointId | None = None
    while True:
        compared = compare_page(pages, one, other, start)  # type: ignore[arg-type]  # it only scrolls
        found += compared.ids
        checked += compared.checked
        start = compared.following
        if start is None:
            return found, checked


@given(blue=SIDE, green=SIDE, limit=st.integers(1, 7))
def test_exactly_what_differs_is_found_once_and_in_order(
    blue: dict[PointId, str], green: dict[PointId, str], limit: int
) -> None:
    found, checked = compare_all(Pages(limit, blue=blue, green=green))
    wanted = {id for id in blue.keys() | green.keys() if blue.get(id) != green.get(id)}
    assert found == sorted(wanted, key=order_id)
    assert checked == len(blue)


@given(one=SIDE, other=SIDE)
def test_two_scans_have_equal_buckets_if_they_saw_the_same_points(
    one: dict[PointId, str], other: dict[PointId, str]
) -> None:
    first, second = (fill_buckets(side) for side in (one, other))
    changed = {id for id in one.keys() | other.keys() if one.get(id) != other.get(id)}
    assert first.differing(second) == {merging.bucket_of(id) for id in changed}
    assert BucketDigests(first.as_text()).differing(first) == set()


def fill_buckets(side: Mapping[PointId, str]) -> BucketDigests:
    buckets = BucketDigests()
    buckets.add(side)
    return buckets


def test_the_origin_is_the_same_however_it_was_read() -> None:
    assert digest_origin({"a": 1, "b": [0.1]}) == digest_origin({"b": [0.1], "a": 1})
    assert digest_origin({"a": 0.1 + 0.2}) == digest_origin({"a": 0.3})
    assert digest_origin({"a": 1, "_rollouts": {"n": 3}}) == digest_origin({"a": 1})


def test_the_origin_is_another_if_payload_or_a_taken_vector_is_another() -> None:
    fields = {"text": "v1.2"}
    vectors = {"one": [1.0, 2.0], "two": {"indices": [3], "values": [1.0]}}
    seen = {
        digest_origin(fields),
        digest_origin({"text": "v1.3"}),
        digest_origin(fields, vectors, {"one"}),
        digest_origin(fields, {**vectors, "one": [1.0, 2.5]}, {"one"}),
        digest_origin(fields, vectors, {"one", "two"}),
        digest_origin(
            fields, {**vectors, "two": {"indices": [4], "values": [1.0]}}, {"one", "two"}
        ),
    }
    assert len(seen) == 6
    assert digest_origin(fields, vectors, {"three"}) == digest_origin(fields)
