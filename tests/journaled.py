"""What tests of the journal need on real servers: clients of each kind that are called alike, and a
rebuild that the test moves."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import qdrant_client
from qdrant_client import models

from qdrant_rollouts.adapters.database import DatabaseClock, open_sessions
from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.adapters.writing_client import QdrantClient
from qdrant_rollouts.adapters.writing_client_async import AsyncQdrantClient
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.journal import rebuilding
from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.fences import Fenced
from qdrant_rollouts.core.journal.rounds import Catcher
from qdrant_rollouts.core.journal.sql_ledger import open_ledger
from qdrant_rollouts.core.ports import Point
from tests.databases import reopen_engine

ALIAS = "articles"
KINDS = ("sync REST", "sync gRPC", "async REST", "async gRPC")


class AnyClient:
    """One of our clients. Calls of the async one are awaited in a thread with its event loop."""

    def __init__(self, kind: str, url: str, grpc_port: int, **options: Any) -> None:
        made: Any = AsyncQdrantClient if kind.startswith("async") else QdrantClient
        self.client = made(
            url=url,
            grpc_port=grpc_port,
            prefer_grpc=kind.endswith("gRPC"),
            check_compatibility=False,
            **options,
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*given: Any, **named: Any) -> Any:
            result = method(*given, **named)
            if asyncio.iscoroutine(result):
                return asyncio.run_coroutine_threadsafe(result, self._loop).result(60)
            return result

        return call

    @property
    def process(self) -> str:
        return self.client.desk_of_client.open_desk().process

    def close(self) -> None:
        self.__getattr__("close")()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class PlainPoints:
    """The points of a server by qdrant-client's own client."""

    def __init__(self, url: str) -> None:
        self.client = qdrant_client.QdrantClient(url=url, timeout=30, check_compatibility=False)

    def fetch(self, collection: str, ids: Sequence[Any], *, vectors: bool) -> list[Point]:
        found = self.client.retrieve(collection, list(ids), with_vectors=vectors)
        return [Point(one.id, one.vector or {}, one.payload or {}) for one in found]

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        rows = [
            models.PointStruct(id=one.id, vector=one.vector, payload=one.payload) for one in points
        ]
        self.client.upsert(collection, rows)

    def delete(self, collection: str, ids: Sequence[Any]) -> None:
        self.client.delete(collection, list(ids))

    def await_writes(self, collection: str) -> None:
        nothing = models.Filter(must=[models.HasIdCondition(has_id=[])])
        self.client.delete(collection, nothing)

    def count(self, collection: str) -> int:
        return self.client.count(collection).count

    def content(self, collection: str) -> dict[Any, Any]:
        """Everything that is in the collection, by id."""
        found, after = self.client.scroll(collection, limit=10_000, with_vectors=True)
        assert after is None
        return {one.id: (one.vector, one.payload) for one in found}


class OurTurn:
    """A turn that nobody takes over."""

    number = 1

    def check(self, seconds: float) -> None:
        pass

    def fence(self, session: object) -> None:
        pass


@dataclass
class Rebuild:
    """The rebuild of ``articles`` from ``blue`` into ``green``, moved by the test."""

    services: Any
    points: PlainPoints
    blue: str
    green: str
    bounds: Bounds = BOUNDS

    @property
    def catcher(self) -> Catcher:
        return rebuilding.open_catcher(
            self.services, self.points, ALIAS, list, OurTurn(), self.bounds
        )

    def try_capture(self) -> list[str]:
        return rebuilding.begin_capture(
            self.services, self.points, ALIAS, self.blue, self.green, OurTurn(), self.bounds
        )

    def capture(self) -> None:
        until(lambda: not self.try_capture())

    def backfill(self) -> None:
        after: Any = None
        while True:
            found, after = self.points.client.scroll(
                self.blue, limit=50, offset=after, with_vectors=True
            )
            rows = [
                models.PointStruct(id=one.id, vector=one.vector, payload=one.payload)
                for one in found
            ]
            if rows:
                self.points.client.upsert(self.green, rows)
            if after is None:
                return

    def catch_up(self) -> None:
        """Until nothing is left, so nobody may be writing."""
        while rebuilding.do_round(self.catcher).retired:
            pass

    def close_writes(self) -> Fenced:
        return rebuilding.close_and_decide(self.catcher)

    def finish(self, leader: str) -> None:
        self.points.client.update_collection_aliases(
            [
                models.CreateAliasOperation(
                    create_alias=models.CreateAlias(collection_name=leader, alias_name=ALIAS)
                )
            ]
        )
        rebuilding.finish_switch(self.services, ALIAS, leader, OurTurn())

    def switch(self, leader: str) -> list[float]:
        """Returns for how many seconds each fence had closed writes."""
        tried: list[Fenced] = []

        def decide() -> bool:
            rebuilding.do_round(self.catcher)
            tried.append(self.close_writes())
            return tried[-1].decided

        until(decide)
        self.finish(leader)
        return [one.seconds for one in tried]

    def end(self) -> None:
        rebuilding.end_rebuild(self.services, ALIAS, OurTurn())


def write_journaled(world: Any, alias: str, records: list[dict[str, Any]], gone: list[int]) -> None:
    """As our clients do: a row, the write to the collection that leads, the end of the row."""
    ledger = open_ledger(world.services)
    state = ledger.read_state(alias)
    assert state is not None
    ids = [*(one["id"] for one in records), *gone]
    entry = ledger.open_entry(state, ids).entry
    assert entry is not None
    size = world.store.schema(state.leader)["params"]["vectors"]["size"]
    model = open_embedder(EmbeddingSpec(model=f"hashing:{size}", text="{text}"))
    vectors = model.documents([one["text"] for one in records])
    points = [
        Point(one["id"], list(map(float, vector)), one)
        for one, vector in zip(records, vectors, strict=True)
    ]
    world.store.upsert(state.leader, points)
    world.store.delete(state.leader, gone)
    assert ledger.settle_entry(alias, entry, ids)


def open_services(database_url: str) -> Any:
    engine = reopen_engine(database_url)
    return SimpleNamespace(
        sessions=open_sessions(engine), clock=DatabaseClock(), close=engine.dispose
    )


def until(happens: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.02)
