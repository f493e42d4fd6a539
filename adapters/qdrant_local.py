"""Qdrant inside this process, without any settings: exact searches, no index, one process at a
time.

It enforces a server's rules where the client's local mode is less strict (qdrant-facts 12.3). It
also remembers settings that local mode ignores: a collection's declared settings are compared and
cloned here as on a server.
"""

import fcntl
import functools
import importlib.metadata
import re
import shutil
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError
from qdrant_client import models
from qdrant_client.local.qdrant_local import QdrantLocal

from qdrant_rollouts.adapters import private
from qdrant_rollouts.adapters.qdrant_points import (
    check_vectors,
    point_from_json,
    point_to_bytes,
    point_to_json,
)
from qdrant_rollouts.adapters.qdrant_search import query_vector_json
from qdrant_rollouts.core.collections.merging import is_before, stop_at
from qdrant_rollouts.core.collections.schema import vector_kind, vector_names, vector_params
from qdrant_rollouts.core.config.vector_kinds import describe_vector, kind_of, vectors_by_name
from qdrant_rollouts.core.errors import Busy, Refused, Unavailable
from qdrant_rollouts.core.ports import (
    Capacity,
    Fused,
    Health,
    Hit,
    Limits,
    OneQuery,
    Point,
    PointId,
    QueryVector,
    Room,
    Schema,
    SearchParams,
    Server,
    ServerText,
    Snapshot,
)

_MEMORY = ":memory:"
_PAGE_POINTS = 256
#: The key in a collection's metadata that holds its declared settings.
_SCHEMA = "rollouts:schema"
#: Index types with which a server counts a field's values.
_FACET_TYPES = {"keyword", "integer", "uuid", "bool"}
#: Local mode searches every vector each time, so an index is never needed and never missing.
_NO_INDEX = {"indexing_threshold": 0}

Answer = TypeVar("Answer")
_Model = TypeVar("_Model", bound=BaseModel)


class LocalStore:
    """Opened at the first call, which raises Busy if another process has the folder open.
    Thread-safe."""

    def __init__(self, folder: Path | str) -> None:
        """With ``:memory:`` everything is gone with the process."""
        self._folder = None if folder == _MEMORY else Path(folder)
        self._lock = threading.RLock()
        self._client: QdrantLocal | None = None
        self._claim: IO[bytes] | None = None

    embedded = True

    def __str__(self) -> str:
        if not self._folder:
            return "the embedded Qdrant in memory"
        return f"the embedded Qdrant at {self._folder}"

    def server(self) -> Server:
        address = _MEMORY
        if self._folder:
            address = str(self._folder)
        return Server(self._run_client(lambda _: _read_version()), address, embedded=True)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            if self._claim is not None:
                self._claim.close()
            self._client = self._claim = None

    def aliases(self) -> dict[str, str]:
        found = self._run_client(lambda client: client.get_aliases()).aliases
        return {alias.alias_name: alias.collection_name for alias in found}

    def point_alias(self, alias: str, collection: str) -> None:
        act = models.CreateAlias(alias_name=alias, collection_name=collection)
        with self._lock:
            self._check_exists(collection)
            if alias in self.collections():
                raise Refused(f"{self} refused: {alias} is a collection's name")
            self._run_client(
                lambda client: client.update_collection_aliases(
                    [models.CreateAliasOperation(create_alias=act)]
                )
            )

    def drop_alias(self, alias: str) -> None:
        act = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
        self._run_client(lambda client: client.update_collection_aliases([act]))

    def collections(self) -> set[str]:
        return {
            found.name
            for found in self._run_client(lambda client: client.get_collections()).collections
        }

    def create(self, collection: str, schema: Schema, metadata: Mapping[str, Any]) -> None:
        params = schema["params"]
        with self._lock:
            if collection in self.aliases():
                raise Refused(f"{self} refused: an alias is named {collection}")
            self._run_client(
                lambda client: client.create_collection(
                    collection,
                    vectors_config=_vectors_config(params.get("vectors") or {}),
                    sparse_vectors_config=_sparse_config(params.get("sparse_vectors") or {}),
                    metadata={**metadata, _SCHEMA: _complete_schema(schema)},
                )
            )
            self._run_client(_speed_up_commits)
            if self._folder is not None:
                private.tighten_below(self._folder)

    def drop(self, collection: str) -> None:
        with self._lock:
            if collection in self.aliases():
                raise Refused(
                    f"{self}: {collection} is an alias, no collection; drop the collection by its "
                    "own name"
                )
            self._run_client(lambda client: client.delete_collection(collection))

    def set_strict_mode(self, collection: str, settings: Mapping[str, Any]) -> None:
        """Stored like every setting; local mode does not enforce it."""
        with self._lock:
            schema = self.schema(collection)
            strict = {**(schema.get("strict_mode_config") or {}), **settings}
            self.set_metadata(collection, {_SCHEMA: {**schema, "strict_mode_config": strict}})

    def limits(self, collection: str) -> Limits:
        """Local mode enforces none."""
        return Limits()

    def pace(self, collection: str) -> None:
        """There is no rate to keep."""

    def schema(self, collection: str) -> Schema:
        config = self._run_client(lambda client: client.get_collection(collection)).config
        declared: Schema | None = (config.metadata or {}).get(_SCHEMA)
        if declared is None:  # made by another client
            declared = _complete_schema(
                {"params": config.params.model_dump(mode="json", exclude_none=True)}
            )
        return deepcopy(declared)

    def index_counts(self, collection: str) -> dict[str, int]:
        """There are no payload indexes: their declarations are only stored."""
        self._check_exists(collection)
        return {}

    def metadata(self, collection: str) -> dict[str, Any]:
        """Local mode keeps a key that was set to None; a server removes it."""
        found = (
            self._run_client(lambda client: client.get_collection(collection)).config.metadata or {}
        )
        return {key: value for key, value in found.items() if key != _SCHEMA and value is not None}

    def set_metadata(self, collection: str, metadata: Mapping[str, Any]) -> None:
        self._run_client(
            lambda client: client.update_collection(collection, metadata=dict(metadata))
        )

    def health(self, collection: str) -> Health:
        info = self._run_client(lambda client: client.get_collection(collection))
        return Health(
            "green",
            "ok",
            info.points_count or 0,
            info.indexed_vectors_count or 0,
            info.segments_count,
        )

    def wake(self, collection: str) -> None:
        self._check_exists(collection)

    def count(self, collection: str, having: str | None = None) -> int:
        having_it = None
        if having is not None:
            having_it = models.Filter(must=[models.HasVectorCondition(has_vector=having)])
        return self._run_client(
            lambda client: client.count(collection, count_filter=having_it, exact=True)
        ).count

    def sample(self, collection: str, having: str, size: int) -> list[Point]:
        found = self._run_client(
            lambda client: client.query_points(
                collection,
                query=models.SampleQuery(sample=models.Sample.RANDOM),
                query_filter=models.Filter(must=[models.HasVectorCondition(has_vector=having)]),
                limit=size,
                with_vectors=[having],
                with_payload=False,
            )
        )
        return _parse_points(found.points)

    def draw_ids(self, collection: str, size: int) -> list[PointId]:
        found = self._run_client(
            lambda client: client.query_points(
                collection,
                query=models.SampleQuery(sample=models.Sample.RANDOM),
                limit=size,
                with_vectors=False,
                with_payload=False,
            )
        )
        return [point.id for point in _parse_points(found.points)]

    def search(
        self,
        collection: str,
        vector: QueryVector,
        limit: int,
        how: SearchParams = SearchParams(),
    ) -> list[Hit]:
        """Always exact, whatever is asked."""
        within = None
        if how.filter:
            within = _validate_model(models.Filter, how.filter)
        params = _validate_model(models.SearchParams, {"exact": how.exact, **(how.params or {})})
        asking: dict[str, Any]
        if isinstance(vector, Fused):
            asking = self._fused_query(collection, vector, within, params)
        else:
            query = models.NearestQuery(nearest=self._prepare_query(collection, how.using, vector))
            asking = {
                "query": query,
                "using": how.using or None,
                "query_filter": within,
                "search_params": params,
            }
        found = self._run_client(
            lambda client: client.query_points(
                collection,
                limit=limit,
                score_threshold=how.score_threshold,
                offset=how.offset,
                **asking,
            )
        )
        return [Hit(_plain_id(hit.id), hit.score, hit.payload or {}) for hit in found.points]

    def _fused_query(
        self,
        collection: str,
        query: Fused,
        within: models.Filter | None,
        params: models.SearchParams,
    ) -> dict[str, Any]:
        parts = [
            models.Prefetch(
                query=models.NearestQuery(
                    nearest=self._prepare_query(collection, part.using, part.vector)
                ),
                using=part.using or None,
                limit=part.limit,
                filter=within,
                params=params,
            )
            for part in query.parts
        ]
        return {"query": models.FusionQuery(fusion=models.Fusion(query.fusion)), "prefetch": parts}

    def _prepare_query(self, collection: str, using: str, vector: OneQuery) -> Any:
        """Returns the client's form. Local mode would multiply arrays of different sizes, or fail
        with its own message."""
        named = self.aliases().get(collection, collection)
        schema = self.schema(named)
        query = query_vector_json(vector)
        if isinstance(query, dict):
            query = models.SparseVector(**query)
        if using not in vector_names(schema):
            return query
        kind = vector_kind(schema, using)
        params = vector_params(schema, using)
        if not kind.answers(params, vector):
            raise Refused(f"{self} refused the query: {_describe_misfit(schema, using, vector)}")
        if kind.name != "multi":
            return query
        self._run_client(
            lambda client: _fill_gaps(client.collections[named].multivectors[using], params["size"])
        )
        return np.atleast_2d(query).tolist()

    def search_many(
        self,
        collection: str,
        vectors: Sequence[QueryVector],
        limit: int,
        how: SearchParams = SearchParams(),
    ) -> list[list[Hit]]:
        wanted = replace(how, score_threshold=None, offset=0)
        found = [self.search(collection, one, limit, wanted) for one in vectors]
        return [[replace(hit, payload={}) for hit in hits] for hits in found]

    def facet(self, collection: str, field: str, limit: int) -> dict[str, int]:
        """Local mode would count any field; a server counts only one with a suitable index."""
        index = self.schema(collection)["payload_schema"].get(field) or {}
        if index.get("data_type") not in _FACET_TYPES:
            raise Refused(
                f"{self} refused: {collection} has no payload index on {field} to count by"
            )
        try:
            found = self._run_client(
                lambda client: client.facet(collection, field, limit=limit)
            ).hits
        # local mode sorts all values; a server uses those of the index's type
        except TypeError as error:
            raise Refused(
                f"{self} cannot count {field} of {collection}: its values are of several types"
            ) from error
        return {str(hit.value): hit.count for hit in found}

    def capacity(self) -> Capacity:
        """Memory and disk are those of this process."""
        return Capacity()

    def room(self) -> Room:
        """The folder's disk is known; how much memory this process may use is not."""
        if self._folder is None:
            return Room()
        where = next(
            (place for place in (self._folder, *self._folder.absolute().parents) if place.exists()),
            None,
        )
        if where is not None:
            return Room(disk=shutil.disk_usage(where).free)
        return Room()

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        self._check_points(collection, points)
        ready = [models.PointStruct(**point_to_json(point)) for point in points]
        if ready:
            self._run_client(lambda client: client.upsert(collection, ready))

    def patch_points(self, collection: str, points: Sequence[Point]) -> None:
        self._check_points(collection, points)
        with self._lock:
            found = self.fetch(collection, [point.id for point in points], vectors=False)
            there = {point.id for point in found}
            for point in points:
                if point.id in there:
                    self._patch_point(collection, point)

    def _patch_point(self, collection: str, point: Point) -> None:
        id = point.id
        if len(point.vector):
            made = models.PointVectors(id=id, vector=point_to_json(point)["vector"])
            self._run_client(lambda client: client.update_vectors(collection, [made]))
        removed = [key for key, value in point.payload.items() if value is None]
        if removed:
            self._run_client(lambda client: client.delete_payload(collection, removed, [id]))
        merged = {key: value for key, value in point.payload.items() if value is not None}
        if merged:
            self._run_client(lambda client: client.set_payload(collection, merged, [id]))

    def _check_points(self, collection: str, points: Sequence[Point]) -> None:
        """Checked before anything is written: local mode accepts what no server accepts, and writes
        a part of what it refuses."""
        schema = self.schema(collection)
        for point in points:
            point_to_bytes(point)
            vectors = {}
            if len(point.vector):
                vectors = vectors_by_name(check_vectors(point))
            wrong = [_describe_misfit(schema, name, one) for name, one in vectors.items()]
            if any(wrong):
                raise Refused(f"{self} refused point {point.id}: {next(filter(None, wrong))}")

    def delete(self, collection: str, ids: Sequence[PointId]) -> None:
        self._check_exists(collection)
        if ids:
            self._run_client(lambda client: client.delete(collection, list(ids)))

    def await_writes(self, collection: str) -> None:
        """Each write is applied before its call returns."""
        self._check_exists(collection)

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]:
        return _parse_points(
            self._run_client(
                lambda client: client.retrieve(collection, list(ids), with_vectors=vectors)
            )
        )

    def scroll(
        self,
        collection: str,
        after: PointId | None,
        limit: int,
        *,
        vectors: bool = True,
        payload: bool | Sequence[str] = True,
    ) -> tuple[list[Point], PointId | None]:
        fields = payload if isinstance(payload, bool) else list(payload)
        found, following = self._run_client(
            lambda client: client.scroll(
                collection, offset=after, limit=limit, with_vectors=vectors, with_payload=fields
            )
        )
        return _parse_points(found), None if following is None else _plain_id(following)

    def copy(
        self,
        source: str,
        target: str,
        after: PointId | None,
        seconds: float,
        until: PointId | None = None,
    ) -> tuple[int, PointId | None]:
        deadline = time.monotonic() + seconds
        copied = 0
        position = after
        while True:
            points, following = self.scroll(source, position, _PAGE_POINTS)
            position = stop_at(following, until)
            within = [point for point in points if is_before(point.id, until)]
            self.upsert(target, within)
            copied += len(within)
            if position is None or time.monotonic() >= deadline:
                return copied, position

    def snapshots(self, collection: str) -> set[str]:
        """The embedded store cannot make snapshots, so there are none."""
        self._check_exists(collection)
        return set()

    def parts(self, collection: str) -> int:
        raise Refused(f"snapshots of {collection} need a Qdrant server: set ROLLOUTS_QDRANT_URL")

    def make_snapshot(self, collection: str, seconds: float, part: int = 0) -> Snapshot:
        raise Refused(f"a snapshot of {collection} needs a Qdrant server: set ROLLOUTS_QDRANT_URL")

    def check_recovery(self, target: str, source: str) -> None:
        raise Refused(f"recovering {target} needs a Qdrant server: set ROLLOUTS_QDRANT_URL")

    def recover(self, target: str, source: str, snapshot: Snapshot, seconds: float) -> None:
        raise Refused(
            f"recovering {snapshot.name} into {target} needs a Qdrant server: set "
            "ROLLOUTS_QDRANT_URL"
        )

    def snapshot(self, collection: str, snapshot: str) -> Snapshot:
        raise Refused(
            f"snapshot {snapshot} of {collection} needs a Qdrant server: set ROLLOUTS_QDRANT_URL"
        )

    def download_snapshot(self, collection: str, snapshot: str, start: int) -> Iterator[bytes]:
        raise Refused(
            f"snapshot {snapshot} of {collection} needs a Qdrant server: set ROLLOUTS_QDRANT_URL"
        )

    def upload_snapshot(self, target: str, snapshot: Snapshot, content: Iterable[bytes]) -> None:
        raise Refused(
            f"making {target} from {snapshot.name} needs a Qdrant server: set ROLLOUTS_QDRANT_URL"
        )

    def drop_snapshot(self, collection: str, snapshot: str) -> None:
        self._check_exists(collection)

    def _check_exists(self, collection: str) -> None:
        if collection not in self.collections():
            raise Refused(f"{self} refused: there is no collection {collection}")

    def _run_client(self, act: Callable[[QdrantLocal], Answer]) -> Answer:
        with self._lock, self._translate_errors():
            if self._client is None:
                self._client = self._open_client()
            return act(self._client)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, ValidationError) as error:
            raise Refused(f"{self} refused: {error}") from error
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(f"{self} cannot be read or written: {error}") from error

    def _open_client(self) -> QdrantLocal:
        """Local mode reads the folder before it locks it: two processes at once could both read,
        and one would lose its changes. Our own lock is taken before anything is read."""
        warnings.filterwarnings(
            "ignore", message="Local mode is not recommended", category=UserWarning
        )
        if self._folder is None:
            return QdrantLocal(_MEMORY)
        private.make_folder(self._folder)
        private.make_file(self._folder / ".rollouts-claim")
        claim = (self._folder / ".rollouts-claim").open("wb")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            client = QdrantLocal(str(self._folder), force_disable_check_same_thread=True)
        except (BlockingIOError, RuntimeError) as error:
            claim.close()
            raise Busy(
                f"{self} is open in another process: end that one, such as `rollouts up`, or set "
                "ROLLOUTS_QDRANT_URL "
                "to a Qdrant server"
            ) from error
        self._claim = claim
        private.tighten_below(self._folder)
        _speed_up_commits(client)
        return client


@functools.cache
def _read_version() -> tuple[int, int, int]:
    """Returns the version of the client, which contains local mode. Each turn asks for it, and the
    package metadata is slow to read, so the version is cached."""
    numbered = re.match(r"(\d+)\.(\d+)\.(\d+)", importlib.metadata.version("qdrant-client"))
    major, minor, patch = numbered.groups() if numbered else ("0", "0", "0")
    return int(major), int(minor), int(patch)


def _speed_up_commits(client: QdrantLocal) -> None:
    """Local mode commits each point: 200 a second with SQLite's defaults, 1,800 with these. A
    process that dies still loses nothing; a power failure may lose the last seconds, which the
    count in ``validate`` would show."""
    for collection in client.collections.values():
        if collection.storage is not None:
            collection.storage.storage.execute("PRAGMA journal_mode=WAL")
            collection.storage.storage.execute("PRAGMA synchronous=NORMAL")


def _fill_gaps(vectors: list[Any], size: int) -> None:
    """A point without its multivector has an empty array there. Local mode scores that too before
    it leaves the point out, and fails. The value written here is never shown, as with dense
    vectors."""
    for at, vector in enumerate(vectors):
        if not vector.size:
            vectors[at] = np.ones((1, size), dtype=np.float32)


def _complete_schema(schema: Schema) -> Schema:
    """Returns the schema in the form of a server."""
    empty: Schema = {
        "quantization_config": None,
        "strict_mode_config": None,
        "payload_schema": {},
        "shard_keys": [],
    }
    optimizers = {**(schema.get("optimizer_config") or {}), **_NO_INDEX}
    return {**empty, **schema, "optimizer_config": optimizers}


def _vectors_config(vectors: Mapping[str, Any]) -> Any:
    if isinstance(vectors.get("size"), int):
        return models.VectorParams.model_validate(vectors)
    return {name: models.VectorParams.model_validate(params) for name, params in vectors.items()}


def _sparse_config(vectors: Mapping[str, Any]) -> dict[str, models.SparseVectorParams]:
    return {
        name: models.SparseVectorParams.model_validate(params or {})
        for name, params in vectors.items()
    }


def _describe_misfit(schema: Schema, name: str, vector: OneQuery) -> str:
    """Returns why the collection cannot store the vector, or cannot be searched by it; empty if it
    can."""
    if name not in vector_names(schema):
        return f"there is no vector {name or 'without a name'}"
    if isinstance(vector, ServerText):
        return f"vector {name} is to be made by the server, and the embedded Qdrant makes none"
    params = vector_params(schema, name)
    kind = kind_of(params)
    if kind.fits(params, vector):
        return ""
    return (
        f"vector {name or 'unnamed'}: expected {kind.describe(params)}, found "
        f"{describe_vector(vector)}"
    )


def _validate_model(kind: type[_Model], given: Mapping[str, Any]) -> _Model:
    """A server refuses what it cannot parse; here the client's own model does."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        raise Refused(
            f"{kind.__name__.lower()} {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        ) from error


def _plain_id(one: object) -> PointId:
    if isinstance(one, int):
        return one
    return str(one)


def _parse_points(records: Sequence[models.Record | models.ScoredPoint]) -> list[Point]:
    return [
        point_from_json(record.model_dump(include={"id", "vector", "payload"}))
        for record in records
    ]
