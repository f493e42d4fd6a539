"""A Qdrant server as ``VectorStore``: REST for settings, aliases, snapshots and searches; points by
the fastest way.

Numbers in brackets are rules of qdrant-facts.
"""

import math
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from qdrant_rollouts.adapters import qdrant_schema, qdrant_snapshots
from qdrant_rollouts.adapters.late import FirstUse, late
from qdrant_rollouts.adapters.qdrant_http import ACT, CALL, Rest
from qdrant_rollouts.adapters.qdrant_limits import KnownLimits
from qdrant_rollouts.adapters.qdrant_snapshots import SnapshotPlace
from qdrant_rollouts.core.errors import OutcomeUnknown, Refused, Unavailable
from qdrant_rollouts.core.ports import (
    Capacity,
    Health,
    Hit,
    Limits,
    Point,
    PointId,
    QueryVector,
    Room,
    Schema,
    SearchParams,
    Server,
    Snapshot,
)
from qdrant_rollouts.core.sanitize.quoting import quote_value

if TYPE_CHECKING:
    from qdrant_rollouts.adapters.qdrant_bulk import GrpcPoints
    from qdrant_rollouts.adapters.qdrant_points import point_from_json
    from qdrant_rollouts.adapters.qdrant_rest import Points, RestPoints
    from qdrant_rollouts.adapters.qdrant_search import parse_hits, query_body
else:  # points need numpy and gRPC; reading aliases needs neither
    point_from_json = late("adapters.qdrant_points", "point_from_json")
    parse_hits = late("adapters.qdrant_search", "parse_hits")
    query_body = late("adapters.qdrant_search", "query_body")

_METADATA_SINCE = (1, 15, 4)
_OPTIMIZATIONS_SINCE = (1, 16, 3)
#: The lowest ``details_level`` of telemetry that includes segments, and so their disk (measured on
#: 1.16.3).
_SEGMENT_DETAILS = "4"
#: The level that includes shards, and so the failures in them.
_SHARDS = "3"
#: Seconds until a gRPC port that did not answer is tried again.
_TRY_GRPC_AGAIN = 60.0
#: A snapshot that no server has, to see whether the server can fetch from itself at all.
_NO_SNAPSHOT = "rollouts-asks-whether-this-address-answers.snapshot"


class ServerStore:
    """Nothing is sent before the first call, and each process has its own connections."""

    def __init__(
        self, url: str, api_key: str = "", grpc_port: int = 6334, nodes: Sequence[str] = ()
    ) -> None:
        """``grpc_port`` 0 means REST only; ``nodes`` are the URLs of a cluster's nodes. Raises
        Refused if ``url`` is not a URL."""
        self._rest = Rest(url, api_key)
        self._nodes = [Rest(node, api_key) for node in nodes]
        self._limits = KnownLimits(self._rest)
        over_rest = FirstUse(
            lambda: late("adapters.qdrant_rest", "RestPoints")(self._rest, self._limits)
        )
        over_grpc = FirstUse(
            lambda: late("adapters.qdrant_bulk", "GrpcPoints")(self._rest, grpc_port, self._limits)
        )
        self._over_rest = cast("RestPoints", over_rest)
        self._over_grpc = cast("GrpcPoints", over_grpc) if grpc_port else None
        self._chosen: Points = self._over_rest
        self._choose_at = 0.0
        self._known: Server | None = None

    embedded = False

    def server(self) -> Server:
        """Cached; a server that did not answer is asked again, because it may come back with a
        newer version."""
        if self._known is None:
            version = self._rest.about()["version"]
            peers = self._rest.call("GET", "cluster").get("peers") or {}
            self._known = Server(
                _parse_version(version),
                self._rest.address,
                peers=max(1, len(peers)),
                nodes=max(1, len(self._nodes)),
            )
        return self._known

    def check_writing(self) -> None:
        """Raises Forbidden for a key that may only read. It drops a collection that does not exist,
        which changes nothing (2.6)."""
        self._rest.call(
            "DELETE", "collections", f"rollouts-doctor-{secrets.token_hex(8)}", seconds=ACT
        )

    def check_bulk(self) -> None:
        """Raises Unavailable or Refused if bulk work cannot use gRPC."""
        if self._over_grpc:
            self._over_grpc.check(self.collections())

    def check_nodes(self) -> int:
        """Returns how many nodes answer. Raises like every call if one of them does not, or refuses
        the key."""
        for node in self._nodes:
            node.about()
            node.call("GET", "collections", seconds=ACT)
        return len(self._nodes)

    def close(self) -> None:
        for rest in (self._rest, *self._nodes):
            rest.close()
        if self._over_grpc:
            self._over_grpc.close()

    def aliases(self) -> dict[str, str]:
        found = self._rest.call("GET", "aliases", seconds=ACT)["aliases"]
        return {alias["alias_name"]: alias["collection_name"] for alias in found}

    def point_alias(self, alias: str, collection: str) -> None:
        self._change_aliases({"create_alias": {"alias_name": alias, "collection_name": collection}})

    def drop_alias(self, alias: str) -> None:
        self._change_aliases({"delete_alias": {"alias_name": alias}})

    def _change_aliases(self, action: dict[str, Any]) -> None:
        """One action per request: several are carried out one by one and are not undone if a later
        one fails (2.2)."""
        self._rest.call("POST", "collections", "aliases", body={"actions": [action]}, seconds=ACT)

    def collections(self) -> set[str]:
        return {found["name"] for found in self._rest.call("GET", "collections")["collections"]}

    def create(self, collection: str, schema: Schema, metadata: Mapping[str, Any]) -> None:
        if metadata:
            self._require_version(_METADATA_SINCE, "collection metadata")
        self._limits.forget(collection)
        qdrant_schema.create_collection(self._rest, collection, schema, metadata)

    def drop(self, collection: str) -> None:
        """For an alias or a missing name the server also answers 200, and deletes nothing (2.6)."""
        self._limits.forget(collection)
        deleted = self._rest.call("DELETE", "collections", collection, seconds=ACT)
        if not deleted and collection in self.aliases():
            raise Refused(
                f"{self._rest}: {collection} is an alias, no collection; drop the collection by "
                "its own name"
            )

    def set_strict_mode(self, collection: str, settings: Mapping[str, Any]) -> None:
        self._rest.call(
            "PATCH", "collections", collection, body={"strict_mode_config": dict(settings)}
        )
        self._limits.forget(collection)

    def limits(self, collection: str) -> Limits:
        return self._limits.look(collection)

    def pace(self, collection: str) -> None:
        self._limits.pace(collection)

    def schema(self, collection: str) -> Schema:
        return qdrant_schema.read_schema(self._rest, collection)

    def index_counts(self, collection: str) -> dict[str, int]:
        return qdrant_schema.read_index_counts(self._rest, collection)

    def metadata(self, collection: str) -> dict[str, Any]:
        self._require_version(_METADATA_SINCE, "collection metadata")
        return self._collection_info(collection)["config"].get("metadata") or {}

    def set_metadata(self, collection: str, metadata: Mapping[str, Any]) -> None:
        self._require_version(_METADATA_SINCE, "collection metadata")
        self._rest.call("PATCH", "collections", collection, body={"metadata": dict(metadata)})

    def health(self, collection: str) -> Health:
        info = self._collection_info(collection)
        optimizer = info["optimizer_status"]
        queue = info.get("update_queue") or {}
        failing = info["status"] == "red" or optimizer != "ok"
        nodes = self._every_node() if failing else [self._rest]
        running, waiting = self._list_optimizations(collection, nodes or [self._rest])
        return Health(
            status=info["status"],
            optimizer=optimizer
            if isinstance(optimizer, str)
            else str(optimizer.get("error", optimizer)),
            points=info.get("points_count") or 0,
            indexed_vectors=info.get("indexed_vectors_count") or 0,
            segments=info["segments_count"],
            optimizing=None if running is None else len(running) + waiting,
            worked=None
            if running is None
            else sum(_count_stages(one.get("progress", one)) for one in running),
            queued=queue.get("length"),
            deferred=queue.get("deferred_points"),
            failures=self._failures(collection, nodes) if failing else None,
            whole=bool(nodes),
        )

    def _every_node(self) -> list[Rest]:
        """Each node reports its own shards; none if not every node can be asked separately."""
        peers = self.server().peers
        if peers == 1:
            return [self._rest]
        if len(self._nodes) >= peers:
            return self._nodes
        return []

    def _failures(self, collection: str, nodes: Sequence[Rest]) -> int | None:
        found = [
            _count_failed_optimizations(
                self._read_telemetry(node, _SHARDS).get("collections") or {}, collection
            )
            for node in nodes
        ]
        counted = [one for one in found if one is not None]
        if counted and len(counted) == len(found):
            return sum(counted)
        return None

    def wake(self, collection: str) -> None:
        """An empty change makes the server look for work again (7.3): it restarts its optimizers,
        and stops running ones."""
        self._rest.call("PATCH", "collections", collection, body={"optimizers_config": {}})

    def count(self, collection: str, having: str | None = None) -> int:
        return self._limits.within(
            collection, lambda limits: self._count_exactly(collection, having, limits)
        )

    def _count_exactly(self, collection: str, having: str | None, limits: Limits) -> int:
        if not limits.exact or (having is not None and not limits.filters):
            return self._over_rest.count_by_reading(
                collection, having, limits, about=self.health(collection).points
            )
        body: dict[str, Any] = {"exact": True}
        if having is not None:
            body["filter"] = {"must": [{"has_vector": having}]}
        self._limits.note(collection, 1 if having is None else 2)
        return int(
            self._rest.call("POST", "collections", collection, "points", "count", body=body)[
                "count"
            ]
        )

    def sample(self, collection: str, having: str, size: int) -> list[Point]:
        body = {
            "query": {"sample": "random"},
            "filter": {"must": [{"has_vector": having}]},
            "limit": size,
            "with_vector": [having],
        }
        found = self._rest.call("POST", "collections", collection, "points", "query", body=body)[
            "points"
        ]
        return [point_from_json(record) for record in found]

    def draw_ids(self, collection: str, size: int) -> list[PointId]:
        body = {
            "query": {"sample": "random"},
            "limit": size,
            "with_vector": False,
            "with_payload": False,
        }
        path = ("collections", collection, "points", "query")
        return [record["id"] for record in self._rest.call("POST", *path, body=body)["points"]]

    def search(
        self,
        collection: str,
        vector: QueryVector,
        limit: int,
        how: SearchParams = SearchParams(),
    ) -> list[Hit]:
        body = query_body(vector, limit, how)
        path = ("collections", collection, "points", "query")
        return parse_hits(self._rest.call("POST", *path, body=body, seconds=how.seconds)["points"])

    def search_many(
        self,
        collection: str,
        vectors: Sequence[QueryVector],
        limit: int,
        how: SearchParams = SearchParams(),
    ) -> list[list[Hit]]:
        def ask(limits: Limits) -> list[list[Hit]]:
            found: list[list[Hit]] = [[] for _ in vectors]
            slices = limits.slices(limit)
            for start, size in slices:
                wanted = replace(how, score_threshold=None, offset=start)
                searches = [query_body(vector, size, wanted, payload=False) for vector in vectors]
                answers = self._search_batches(
                    collection, searches, limits, how.seconds / len(slices)
                )
                for known, answer in zip(found, answers, strict=True):
                    known.extend(parse_hits(answer["points"]))
            return found

        return self._limits.within(collection, ask, how.seconds)

    def _search_batches(
        self, collection: str, searches: list[dict[str, Any]], limits: Limits, seconds: float
    ) -> list[dict[str, Any]]:
        size = limits.search_max_batchsize or len(searches)
        batches = [
            searches[start : start + size] for start in range(0, len(searches), max(1, size))
        ]
        path = ("collections", collection, "points", "query", "batch")
        found = []
        for batch in batches:
            self._limits.note(collection, len(batch))
            found += self._rest.call(
                "POST", *path, body={"searches": batch}, seconds=seconds / len(batches)
            )
        return found

    def facet(self, collection: str, field: str, limit: int) -> dict[str, int]:
        return self._limits.within(
            collection, lambda limits: self._count_facet(collection, field, limit, limits)
        )

    def _count_facet(
        self, collection: str, field: str, limit: int, limits: Limits
    ) -> dict[str, int]:
        if not limits.exact:
            raise Refused(
                f"strict mode of {collection} allows no exact count of {field} (search_allow_exact "
                "false)"
            )
        self._limits.note(collection, 1)
        body = {"key": field, "limit": limits.page(limit), "exact": True}
        found = self._rest.call("POST", "collections", collection, "facet", body=body)["hits"]
        return {str(hit["value"]): int(hit["count"]) for hit in found}

    def capacity(self) -> Capacity:
        """A key without the right to ask gets no answer, as from a server that does not support
        it."""
        told = self._read_telemetry(self._rest, _SEGMENT_DETAILS)
        system = (told.get("app") or {}).get("system") or {}
        memory = told.get("memory") or {}
        return Capacity(
            memory=_kilobytes_to_bytes(system.get("ram_size")),
            memory_used=memory.get("resident_bytes"),
            disk=_kilobytes_to_bytes(system.get("disk_size")),
            disk_used=_disk_used(told.get("collections") or {}),
        )

    def room(self) -> Room:
        """1.16.3 reports the size of the disk on which it is installed, but not the free part: at
        most what its vectors and payloads leave of it. For memory, at most what its own process
        leaves."""
        told = self._read_telemetry(self._rest, _SHARDS)
        system = (told.get("app") or {}).get("system") or {}
        memory = told.get("memory") or {}
        disk = system.get("disk_size")
        ram = system.get("ram_size")
        used = memory.get("resident_bytes")
        return Room(
            disk=None
            if disk is None
            else max(0, disk * 1024 - _raw(told.get("collections") or {})),
            memory=None if ram is None or used is None else max(0, ram * 1024 - used),
        )

    def _read_telemetry(self, rest: Rest, level: str) -> dict[str, Any]:
        """Returns telemetry; empty for a key without the right to ask."""
        try:
            told: dict[str, Any] = rest.call("GET", "telemetry", params={"details_level": level})
        except Refused:
            return {}
        return told

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        with self._choose_points() as way:
            way.upsert(collection, points)

    def patch_points(self, collection: str, points: Sequence[Point]) -> None:
        self._over_rest.patch_points(collection, points)

    def delete(self, collection: str, ids: Sequence[PointId]) -> None:
        self._over_rest.delete(collection, ids)

    def await_writes(self, collection: str) -> None:
        self._over_rest.await_writes(collection)

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]:
        def found(limits: Limits) -> list[Point]:
            limited = limits.read_rate_limit is not None
            return (self._over_rest if limited else way).fetch(collection, ids, vectors=vectors)

        with self._choose_points() as way:
            return self._limits.within(collection, found)

    def scroll(
        self,
        collection: str,
        after: PointId | None,
        limit: int,
        *,
        vectors: bool = True,
        payload: bool | Sequence[str] = True,
    ) -> tuple[list[Point], PointId | None]:
        def page(limits: Limits) -> tuple[list[Point], PointId | None]:
            self._limits.note(collection, 1)
            return way.scroll(
                collection, after, limits.page(limit), vectors=vectors, payload=payload
            )

        with self._choose_points() as way:
            return self._limits.within(collection, page)

    def copy(
        self,
        source: str,
        target: str,
        after: PointId | None,
        seconds: float,
        until: PointId | None = None,
    ) -> tuple[int, PointId | None]:
        """Raises Refused for custom sharding: equal ids under different keys would be read as one
        (4.4)."""
        for collection in (source, target):
            if (
                self._collection_info(collection)["config"]["params"].get("sharding_method")
                == "custom"
            ):
                raise Refused(
                    f"{collection} has custom sharding and cannot be copied; rebuild it from its "
                    "records"
                )
        with self._choose_points() as way:
            return way.copy(source, target, after, seconds, until)

    @contextmanager
    def _choose_points(self) -> "Iterator[Points]":
        """gRPC if its port answers as this server, else REST. Checked at the first use, after a
        failure, and from time to time while gRPC is not available."""
        if self._over_grpc and time.monotonic() >= self._choose_at:
            reached = self._over_grpc.reaches(self.collections())
            self._chosen = self._over_grpc if reached else self._over_rest
            self._choose_at = math.inf if reached else time.monotonic() + _TRY_GRPC_AGAIN
        try:
            yield self._chosen
        except Unavailable:
            self._choose_at = 0.0
            self._known = None
            raise

    def snapshots(self, collection: str) -> set[str]:
        """Only finished snapshots: the checksum is written last."""
        return {name for name, checksum in self._list_snapshots(collection).items() if checksum}

    def parts(self, collection: str) -> int:
        return len(self._snapshot_places(collection))

    def make_snapshot(self, collection: str, seconds: float, part: int = 0) -> Snapshot:
        return qdrant_snapshots.make_snapshot(self._snapshot_places(collection)[part], seconds)

    def check_recovery(self, target: str, source: str) -> None:
        """The server fetches the snapshot from its own address, so one that does not exist is
        requested. An alias as the ``target`` would overwrite the live collection behind it
        (2.9)."""
        if target not in self.collections():
            raise Refused(f"{self._rest}: there is no collection {target} to recover into")
        self._check_own_address(target, source)

    def recover(self, target: str, source: str, snapshot: Snapshot, seconds: float) -> None:
        body = self._snapshot_location(source, snapshot.name)
        checked = {"checksum": snapshot.sha256 or None}
        done = self._recover_from(target, body | checked, seconds)
        if done is not True:
            raise OutcomeUnknown(f"{self._rest} did not say that {target} is recovered")

    def snapshot(self, collection: str, snapshot: str) -> Snapshot:
        return qdrant_snapshots.describe_snapshot(
            self._place_of_snapshot(collection, snapshot), snapshot
        )

    def download_snapshot(self, collection: str, snapshot: str, start: int) -> Iterator[bytes]:
        return qdrant_snapshots.download_snapshot(
            self._place_of_snapshot(collection, snapshot), snapshot, start
        )

    def upload_snapshot(self, target: str, snapshot: Snapshot, content: Iterable[bytes]) -> None:
        """With an alias the live collection behind it would be overwritten (2.9)."""
        if snapshot.shard is not None:
            [place] = [
                place for place in self._snapshot_places(target) if place.shard == snapshot.shard
            ]
            qdrant_snapshots.upload_snapshot(place, snapshot, content)
            return
        if target in self.collections() or target in self.aliases():
            raise Refused(f"{self._rest}: {target} exists; a snapshot is uploaded under a new name")
        [place] = qdrant_snapshots.find_places(self._rest, (), target)
        qdrant_snapshots.upload_snapshot(place, snapshot, content)

    def drop_snapshot(self, collection: str, snapshot: str) -> None:
        for place in self._snapshot_places(collection):
            if snapshot in qdrant_snapshots.list_snapshots(place):
                qdrant_snapshots.delete_snapshot(place, snapshot)

    def _list_snapshots(self, collection: str) -> dict[str, str | None]:
        listed = [
            qdrant_snapshots.list_snapshots(place) for place in self._snapshot_places(collection)
        ]
        return {name: checksum for found in listed for name, checksum in found.items()}

    def _snapshot_places(self, collection: str) -> list[SnapshotPlace]:
        return qdrant_snapshots.find_places(
            self._rest, self._nodes if self.server().peers > 1 else (), collection
        )

    def _place_of_snapshot(self, collection: str, snapshot: str) -> SnapshotPlace:
        places = self._snapshot_places(collection)
        found = [
            place
            for place in places
            if len(places) == 1 or snapshot in qdrant_snapshots.list_snapshots(place)
        ]
        if not found:
            raise qdrant_snapshots.missing_snapshot(places[0], snapshot)
        return found[0]

    def _check_own_address(self, target: str, source: str) -> None:
        problem: Refused | Unavailable
        try:
            self._recover_from(target, self._snapshot_location(source, _NO_SNAPSHOT), CALL)
        except Refused as said:
            if "404" in str(said):  # it asked itself, and knows no such snapshot
                return
            problem = said
        except Unavailable as said:
            self._rest.about()
            problem = said
        raise Refused(
            f"{self._rest} cannot fetch its own snapshots from that address: {problem}"
        ) from problem

    def _recover_from(self, target: str, body: dict[str, Any], seconds: float) -> Any:
        """Returns when all shards are recovered."""
        return self._rest.call_once(
            "PUT",
            *("collections", target, "snapshots", "recover"),
            seconds=seconds,
            json=body,
            params={"wait": "true"},
        )

    def _snapshot_location(self, collection: str, snapshot: str) -> dict[str, Any]:
        location = self._rest.url("collections", collection, "snapshots", snapshot)
        return {"location": location, "api_key": self._rest.api_key or None}

    def _collection_info(self, collection: str) -> dict[str, Any]:
        info: dict[str, Any] = self._rest.call("GET", "collections", collection)
        return info

    def _list_optimizations(
        self, collection: str, nodes: Sequence[Rest]
    ) -> tuple[list[dict[str, Any]] | None, int]:
        """Returns running optimizations, and how many are queued; None if a server does not report
        them."""
        if self.server().version < _OPTIMIZATIONS_SINCE:
            return None, 0
        every = [node.call("GET", "collections", collection, "optimizations") for node in nodes]
        running = [
            one for found in every for one in found.get("running", found.get("ongoing")) or []
        ]
        return running, sum(
            int((found.get("summary") or {}).get("queued_optimizations", 0)) for found in every
        )

    def _require_version(self, version: tuple[int, int, int], feature: str) -> None:
        server = self.server()
        if server.version < version:
            wanted = ".".join(map(str, version))
            found = ".".join(map(str, server.version))
            raise Refused(
                f"{feature} needs Qdrant {wanted} or newer, {self._rest} is {found}: upgrade the "
                "server"
            )


def _parse_version(text: str) -> tuple[int, int, int]:
    """Reads ``1.16.3`` and also ``1.17.0-dev``."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    if numbers is None:
        raise Refused(
            f"Qdrant reported version {quote_value(text)}; expected numbers such as 1.16.3"
        )
    return int(numbers[1]), int(numbers[2]), int(numbers[3])


def _kilobytes_to_bytes(number: int | None) -> int | None:
    if number is None:
        return None
    return number * 1024


def _disk_used(told: Any) -> int | None:
    """Returns the sum over all segments, wherever they are in the answer; None if none reports more
    than 0."""
    if isinstance(told, list):
        told = dict(enumerate(told))
    if not isinstance(told, dict):
        return None
    if isinstance(own := told.get("disk_usage_bytes"), int):
        return own
    sizes = [size for part in told.values() if (size := _disk_used(part)) is not None]
    return sum(sizes) or None  # 1.16.3 reports 0 for every segment, which means "not counted"


def _count_failed_optimizations(told: Mapping[str, Any], collection: str) -> int | None:
    """Returns how many optimizations of this collection failed on the node; None if it does not
    say."""
    found = [one for one in told.get("collections") or [] if one.get("id") == collection]
    shards = [
        shard["local"] for one in found for shard in one.get("shards") or [] if shard.get("local")
    ]
    counts = [(shard.get("optimizations") or {}).get("optimizations") for shard in shards]
    # 0 is omitted
    known = [int(count.get("fail_count", 0)) for count in counts if isinstance(count, dict)]
    if known and len(known) == len(counts):
        return sum(known)
    return None


def _raw(told: Mapping[str, Any]) -> int:
    """Returns the bytes of all vectors and payloads on the node, without their indexes."""
    shards = [
        shard.get("local") or {}
        for one in told.get("collections") or []
        for shard in one.get("shards") or []
    ]
    return sum(
        int(shard.get(kind) or 0)
        for shard in shards
        for kind in ("vectors_size_bytes", "payloads_size_bytes")
    )


def _count_stages(stage: Mapping[str, Any]) -> int:
    """Counts one for each started and each finished stage, and a stage's own progress (``done`` of
    ``total``, on 1.16.3)."""
    own = int("started_at" in stage) + int("finished_at" in stage) + int(stage.get("done", 0))
    return own + sum(map(_count_stages, stage.get("children", ())))
