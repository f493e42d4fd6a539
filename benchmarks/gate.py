"""The gate with its defaults on 100,000 points beside a live collection of the same size:
everything it looks at.

Both collections stand on a real Qdrant server with a real index; vectors are seeded clusters of 384
numbers that came with their records, so no model is in it: embedding 300 records and each query
again comes on top, at the model's own speed (see ``embedding``). Bound (issue 3): 60 s on 2 cores,
of which 5 s are the three looks at the index.
"""

import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.installation import Installation, declare, settings
from benchmarks.results import Result, Size
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.readiness import count_vectors, judge_readiness
from qdrant_rollouts.core.deployments.commands.validating import validate_collection
from qdrant_rollouts.core.ports import Point, VectorStore
from tests.servers import Qdrant

BOUND = 60.0
POINTS = {Size.FULL: 100_000, Size.CI: 20_000, Size.SMALLEST: 2_000}
VECTOR_SIZE = 384
_CLUSTERS = 500
_BATCH = 1000
_SCHEMA = {
    "params": {"vectors": {"size": VECTOR_SIZE, "distance": "Cosine"}},
    "payload_schema": {"group": {"data_type": "keyword"}},
}


def run(size: Size) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="rollouts-gate-") as name, Qdrant() as server:
        folder = Path(name)
        points = POINTS[size]
        store = ServerStore(server.url, grpc_port=server.grpc_port)
        for collection in ("live", "rebuilt"):
            fill(store, collection, points)
        for collection in ("live", "rebuilt"):
            until_ready(store, collection)
        store.point_alias("texts", "live")
        declare(folder, {"texts": {"source": "collection:live"}})
        installation = Installation(settings(folder, server.url, server.grpc_port))
        started = time.perf_counter()
        report = validate_collection(installation.services, "texts", "rebuilt")
        seconds = time.perf_counter() - started
        looked = _scrolled(store)
        installation.close()
    stopped = [row["name"] for row in report["checks"] if row["verdict"] == "block"]
    name = f"gate on {points:,} points, {len(report['checks'])} checks" + (
        f", blocked by {stopped}" if stopped else ""
    )
    return [
        Result(
            name,
            f"{seconds:.1f} s",
            f"{looked:.1f} s to scroll all vectors once",
            seconds / looked,
            f"under {BOUND:g} s",
            seconds < BOUND and not stopped,
        )
    ]


def fill(store: VectorStore, collection: str, count: int) -> None:
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((_CLUSTERS, VECTOR_SIZE))
    store.create(collection, _SCHEMA, {})
    for first in range(0, count, _BATCH):
        groups = rng.integers(0, _CLUSTERS, _BATCH)
        vectors = (centres[groups] + rng.standard_normal((_BATCH, VECTOR_SIZE))).astype(np.float32)
        store.upsert(
            collection,
            [
                Point(first + at, vectors[at], {"id": first + at, "group": f"g{groups[at]}"})
                for at in range(_BATCH)
            ],
        )


def until_ready(store: VectorStore, collection: str) -> None:
    pause = threading.Event()
    schema = store.schema(collection)
    vectors = count_vectors(schema, lambda name: store.count(collection, having=name))
    while not judge_readiness(schema, store.health(collection), vectors).ready:
        pause.wait(1)


def _scrolled(store: VectorStore) -> float:
    started = time.perf_counter()
    after = None
    while True:
        _, after = store.scroll("rebuilt", after, 512, payload=False)
        if after is None:
            return time.perf_counter() - started
