"""Points over REST: exact for every payload, and there wherever the server is."""

import json
import time
from collections.abc import Sequence
from typing import Any, Protocol

from adapters.qdrant_http import Rest
from adapters.qdrant_points import MOST_POINTS, batches, from_json, next_page, to_bytes
from core.errors import Unavailable
from core.ports import Point, PointId

#: Points of the first page of a copy, when nobody knows yet how large they are.
FIRST_PAGE = 32


class Points(Protocol):
    """The bulk part of ``VectorStore``, which two transports fulfil."""

    def upsert(self, collection: str, points: Sequence[Point]) -> None: ...

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]: ...

    def scroll(
        self, collection: str, after: PointId | None, limit: int, *, vectors: bool = True, payload: bool = True
    ) -> tuple[list[Point], PointId | None]: ...

    def copy(self, source: str, target: str, after: PointId | None, seconds: float) -> tuple[int, PointId | None]: ...


class RestPoints:
    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        for batch in batches(map(to_bytes, points), len, most_written(self._rest, collection)):
            self._write(collection, batch)

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]:
        return [from_json(record) for record in self._fetch(collection, ids, vectors)]

    def scroll(
        self, collection: str, after: PointId | None, limit: int, *, vectors: bool = True, payload: bool = True
    ) -> tuple[list[Point], PointId | None]:
        records, following = self._scroll(collection, after, limit, vectors=vectors, payload=payload)
        return [from_json(record) for record in records], following

    def copy(self, source: str, target: str, after: PointId | None, seconds: float) -> tuple[int, PointId | None]:
        deadline = time.monotonic() + seconds
        page, most = FIRST_PAGE, most_copied(self._rest, source, target)
        copied, position = 0, after
        while True:
            records, position = self._scroll(source, position, min(page, most))
            size = self._put(target, records)
            copied += len(records)
            if position is None or time.monotonic() >= deadline:
                return copied, position
            page = next_page(len(records), size, MOST_POINTS)

    def copy_these(self, source: str, target: str, ids: Sequence[PointId]) -> None:
        """Copies single points, as they are."""
        self._put(target, self._fetch(source, ids, vectors=True))

    def _put(self, target: str, records: list[dict[str, Any]]) -> int:
        """Writes records as they were read and returns their size in bytes."""
        encoded = [json.dumps(_written(record), ensure_ascii=False).encode() for record in records]
        for batch in batches(encoded, len):
            self._write(target, batch)
        return sum(map(len, encoded))

    def _write(self, collection: str, encoded: list[bytes]) -> None:
        content = b'{"points":[' + b",".join(encoded) + b"]}"
        result = self._rest.call("PUT", "collections", collection, "points", content=content, params={"wait": "true"})
        if result["status"] != "completed":  # the server gave up waiting; whether it was written is unknown (5.2)
            raise Unavailable(f"{self._rest} did not complete a write to {collection}: {result['status']}")

    def _fetch(self, collection: str, ids: Sequence[PointId], vectors: bool) -> list[dict[str, Any]]:
        body = {"ids": list(ids), "with_payload": True, "with_vector": vectors}
        records: list[dict[str, Any]] = self._rest.call("POST", "collections", collection, "points", body=body)
        return records

    def _scroll(
        self, collection: str, after: PointId | None, limit: int, *, vectors: bool = True, payload: bool = True
    ) -> tuple[list[dict[str, Any]], PointId | None]:
        body = {"offset": after, "limit": limit, "with_payload": payload, "with_vector": vectors}
        page = self._rest.call("POST", "collections", collection, "points", "scroll", body=body)
        return page["points"], page["next_page_offset"]


def _written(record: dict[str, Any]) -> dict[str, Any]:
    return {"id": record["id"], "vector": record.get("vector") or {}, "payload": record.get("payload") or {}}


def most_written(rest: Rest, collection: str) -> int:
    """Points a write may have: strict mode can allow fewer than we would send."""
    return _least(_limit(rest, collection, "upsert_max_batchsize"))


def most_copied(rest: Rest, source: str, target: str) -> int:
    """Points a page may have that is read from one collection and written to the other."""
    return _least(_limit(rest, source, "max_query_limit"), _limit(rest, target, "upsert_max_batchsize"))


def _limit(rest: Rest, collection: str, name: str) -> int | None:
    strict = rest.call("GET", "collections", collection)["config"].get("strict_mode_config") or {}
    limit = strict.get(name) if strict.get("enabled") else None
    return None if limit is None else int(limit)


def _least(*limits: int | None) -> int:
    """At least one: where nothing may be written at all, the server says so best."""
    return max(1, min([MOST_POINTS, *(limit for limit in limits if limit is not None)]))
