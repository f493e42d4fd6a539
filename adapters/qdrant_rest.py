"""Points over REST: exact for every payload, and always available."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from qdrant_rollouts.adapters.qdrant_http import Rest
from qdrant_rollouts.adapters.qdrant_limits import KnownLimits
from qdrant_rollouts.adapters.qdrant_points import (
    MOST_POINTS,
    next_page_size,
    point_from_json,
    point_to_bytes,
    point_to_json,
    split_batches,
)
from qdrant_rollouts.core.collections.merging import is_before, stop_at
from qdrant_rollouts.core.errors import Limited, Refused, Unavailable
from qdrant_rollouts.core.ports import Limits, Point, PointId

#: Points of the first page of a copy, when their size is not known yet.
FIRST_PAGE = 32
#: The maximum size and number of pages that are read to count points.
_COUNTING_PAGE = 4096
_MOST_PAGES = 500
#: Ids of one request that deletes points.
_MOST_DELETED = 1024


class Points(Protocol):
    """The bulk part of ``VectorStore``, which two transports implement."""

    def upsert(self, collection: str, points: Sequence[Point]) -> None: ...

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]: ...

    def scroll(
        self,
        collection: str,
        after: PointId | None,
        limit: int,
        *,
        vectors: bool = True,
        payload: bool | Sequence[str] = True,
    ) -> tuple[list[Point], PointId | None]: ...

    def copy(
        self,
        source: str,
        target: str,
        after: PointId | None,
        seconds: float,
        until: PointId | None = None,
    ) -> tuple[int, PointId | None]: ...


class RestPoints:
    def __init__(self, rest: Rest, limits: KnownLimits) -> None:
        self._rest = rest
        self._limits = limits

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        ready = [point_to_bytes(point) for point in points]
        self._limits.within(
            collection, lambda limits: self._write_batches(collection, ready, limits)
        )

    def patch_points(self, collection: str, points: Sequence[Point]) -> None:
        """New vectors of a missing point are refused, and then what comes after them in the request
        is not done. So whoever was deleted meanwhile is left out, and the rest is sent again."""
        left = list(points)
        while left:
            try:
                for batch in split_batches(_group_operations(left), _measure_operations):
                    self._write_operations(collection, [one for group in batch for one in group])
            except Refused:
                there = {point.id for point in self.fetch(collection, _ids(left), vectors=False)}
                if len(there) == len(left):
                    raise
                left = [point for point in left if point.id in there]
            else:
                return

    def delete(self, collection: str, ids: Sequence[PointId]) -> None:
        for start in range(0, len(ids), _MOST_DELETED):
            self._delete(collection, {"points": list(ids[start : start + _MOST_DELETED])})

    def await_writes(self, collection: str) -> None:
        self._delete(collection, {"filter": {"must": [{"has_id": []}]}})

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]:
        return [point_from_json(record) for record in self._fetch_records(collection, ids, vectors)]

    def scroll(
        self,
        collection: str,
        after: PointId | None,
        limit: int,
        *,
        vectors: bool = True,
        payload: bool | Sequence[str] = True,
    ) -> tuple[list[Point], PointId | None]:
        records, following = self._scroll_records(
            collection, after, limit, vectors=vectors, payload=payload
        )
        return [point_from_json(record) for record in records], following

    def copy(
        self,
        source: str,
        target: str,
        after: PointId | None,
        seconds: float,
        until: PointId | None = None,
    ) -> tuple[int, PointId | None]:
        deadline = time.monotonic() + seconds
        page = FIRST_PAGE
        most = most_copied(self._limits, source, target)
        copied = 0
        position = after
        while True:
            if not may_go_on(self._limits, source, copied):
                return copied, position
            records, following = self._scroll_next(source, position, min(page, most))
            position = stop_at(following, until)
            within = [record for record in records if is_before(record["id"], until)]
            size = self._write_records(target, within)
            copied += len(within)
            if position is None or time.monotonic() >= deadline:
                return copied, position
            page = next_page_size(len(records), size, MOST_POINTS)

    def copy_these(self, source: str, target: str, ids: Sequence[PointId]) -> None:
        """Copies single points unchanged."""
        self._write_records(target, self._fetch_records(source, ids, vectors=True))

    def _scroll_next(
        self, source: str, after: PointId | None, size: int
    ) -> tuple[list[dict[str, Any]], PointId | None]:
        return self._limits.within(
            source, lambda limits: self._scroll_records(source, after, limits.page(size))
        )

    def _write_records(self, target: str, records: list[dict[str, Any]]) -> int:
        """Writes records as they were read and returns their size in bytes."""
        encoded = [
            json.dumps(_writable_record(record), ensure_ascii=False).encode() for record in records
        ]
        self._limits.within(target, lambda limits: self._write_batches(target, encoded, limits))
        return sum(map(len, encoded))

    def _write_batches(self, collection: str, encoded: list[bytes], limits: Limits) -> None:
        for batch in split_batches(encoded, len, limits.points_of_write(MOST_POINTS)):
            self._write_batch(collection, batch)

    def _write_batch(self, collection: str, encoded: list[bytes]) -> None:
        content = b'{"points":[' + b",".join(encoded) + b"]}"
        self._check_completed(
            collection,
            self._rest.call(
                "PUT", "collections", collection, "points", content=content, params={"wait": "true"}
            ),
        )

    def _delete(self, collection: str, which: dict[str, Any]) -> None:
        """Deletes the points that are selected."""
        path = ("collections", collection, "points", "delete")
        self._check_completed(
            collection, self._rest.call("POST", *path, body=which, params={"wait": "true"})
        )

    def _write_operations(self, collection: str, operations: list[dict[str, Any]]) -> None:
        path = ("collections", collection, "points", "batch")
        body = {"operations": operations}
        for result in self._rest.call("POST", *path, body=body, params={"wait": "true"}):
            self._check_completed(collection, result)

    def _check_completed(self, collection: str, result: Mapping[str, Any]) -> None:
        """Raises Unavailable if the server gave up waiting; whether it was written is unknown
        (5.2)."""
        if result["status"] != "completed":
            raise Unavailable(
                f"{self._rest} did not complete a write to {collection}: {result['status']}"
            )

    def _fetch_records(
        self, collection: str, ids: Sequence[PointId], vectors: bool
    ) -> list[dict[str, Any]]:
        """Each id counts as a read, a page of points with one of the ids as two (measured on
        1.16.3); so with a rate limit they are read as pages."""
        limits = self._limits.of(collection)
        if limits.read_rate_limit is not None and limits.filters:
            return self._limits.within(
                collection, lambda found: self._fetch_by_pages(collection, ids, vectors, found)
            )
        self._limits.note(collection, len(ids))
        body = {"ids": list(ids), "with_payload": True, "with_vector": vectors}
        records: list[dict[str, Any]] = self._rest.call(
            "POST", "collections", collection, "points", body=body
        )
        return records

    def _fetch_by_pages(
        self, collection: str, ids: Sequence[PointId], vectors: bool, limits: Limits
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        size = limits.ids(max(1, len(ids)))
        for start in range(0, len(ids), size):
            few = list(ids[start : start + size])
            self._limits.note(collection, 2)
            found += self._scroll_records(
                collection, None, len(few), vectors=vectors, where={"has_id": few}
            )[0]
        return found

    def count_by_reading(
        self, collection: str, having: str | None, limits: Limits, about: int
    ) -> int:
        """Returns an exact count if strict mode forbids one: reads the points, ``about`` this
        many."""
        filtered = having is not None and limits.filters
        weighed = having is not None and not limits.filters
        size = limits.page(MOST_POINTS if weighed else _COUNTING_PAGE)
        if about > size * _MOST_PAGES:
            raise Refused(
                f"strict mode of {collection} allows no exact count ({limits.reading}), and about "
                f"{about:,} points are "
                f"too many to be counted by reading them, {size:,} at a time"
            )
        where = None
        if filtered:
            where = {"has_vector": having}
        number = 0
        after = None
        while True:
            self._limits.note(collection, 2 if filtered else 1)
            page, after = self._scroll_records(
                collection, after, size, vectors=weighed, payload=False, where=where
            )
            number += sum(not weighed or _has_vector(record, having) for record in page)
            if after is None:
                return number

    def _scroll_records(
        self,
        collection: str,
        after: PointId | None,
        limit: int,
        *,
        vectors: bool = True,
        payload: bool | Sequence[str] = True,
        where: dict[str, Any] | None = None,
    ) -> tuple[list[dict[str, Any]], PointId | None]:
        body: dict[str, Any] = {
            "offset": after,
            "limit": limit,
            "with_payload": payload,
            "with_vector": vectors,
        }
        if where is not None:
            body["filter"] = {"must": [where]}
        page = self._rest.call("POST", "collections", collection, "points", "scroll", body=body)
        return page["points"], page["next_page_offset"]


def _group_operations(points: Sequence[Point]) -> list[list[dict[str, Any]]]:
    """Returns the operations of each point. Its vectors come first: if a request ends between the
    two, the payload still shows that the change was not made."""
    groups = []
    for point in points:
        group: list[dict[str, Any]] = []
        if len(point.vector):
            made = {"id": point.id, "vector": point_to_json(point)["vector"]}
            group.append({"update_vectors": {"points": [made]}})
        if point.payload:
            group.append({"set_payload": {"payload": point.payload, "points": [point.id]}})
        groups.append(group)
    return groups


def _measure_operations(group: list[dict[str, Any]]) -> int:
    return len(json.dumps(group, ensure_ascii=False))


def _ids(points: Sequence[Point]) -> list[PointId]:
    return [point.id for point in points]


def _writable_record(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": record["id"],
        "vector": record.get("vector") or {},
        "payload": record.get("payload") or {},
    }


def _has_vector(record: dict[str, Any], name: str | None) -> bool:
    vector = record.get("vector") or {}
    if isinstance(vector, dict):
        return name in vector
    return name == ""


def most_copied(limits: KnownLimits, source: str, target: str) -> int:
    """Returns how many points a page may have that is read from one collection and written to the
    other."""
    return limits.of(target).points_of_write(limits.of(source).page(MOST_POINTS))


def may_go_on(limits: KnownLimits, source: str, copied: int) -> bool:
    """Whether the rate of ``source`` allows another page, which is then counted. Raises Limited if
    nothing was copied yet."""
    try:
        limits.pace(source)
    except Limited:
        if copied:
            return False
        raise
    limits.note(source, 1)
    return True
