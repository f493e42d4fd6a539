"""How fast two collections are compared, and how long writers are refused for it.

On a real Qdrant server: a collection, and one that was made from its payloads. Their points are
compared page by page, as `catch_up` does with `writes: compare`, while nothing differs. Beside it,
in turn, both collections are only read, with the same pages. Then the first one refuses writes, a
last comparison is made, the alias moves, and writes are let in again: a fence. Bounds: 40,000 ids
in a second of one core, and a fence 1.5 times as long as reading both collections. The aim is 2 s
at 100,000 points; the seconds in the table are also those of what else the machine does.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.results import Result, Size, median_ratio, rates, seconds
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections import freezing
from qdrant_rollouts.core.collections.merging import (
    PAGE_POINTS,
    BucketDigests,
    Side,
    compare_page,
)
from qdrant_rollouts.core.collections.origins import digest_origin
from qdrant_rollouts.core.collections.records import MARK_KEY, read_mark
from qdrant_rollouts.core.ports import Point, VectorStore
from tests.servers import Qdrant
from tests.world import World

POINTS = {Size.FULL: 100_000, Size.CI: 20_000, Size.SMALLEST: 2_000}
ROUNDS = {Size.FULL: 5, Size.CI: 3, Size.SMALLEST: 1}
#: Ids in a second of one core.
RATE = 40_000
#: How many times as long as reading both collections.
FENCE = 1.5
_DIMENSIONS = 32
_BATCH = 1000
_ALIAS = "docs"
_SIDES = (
    Side("blue", lambda point: digest_origin(point.payload)),
    Side("green", lambda point: str(read_mark(point.payload)["from"]), fields=(MARK_KEY,)),
)


def run(size: Size) -> list[Result]:
    points = POINTS[size]
    with Qdrant() as server, tempfile.TemporaryDirectory() as folder:
        store = ServerStore(server.url, "", server.grpc_port)
        with closing(World(Path(folder), f"sqlite:///{folder}/state.db", store)) as world:
            _fill(store, points)
            return [
                *_measure_scan(store, points, ROUNDS[size]),
                _measure_fence(world, points, size),
            ]


def _fill(store: VectorStore, points: int) -> None:
    params = {"params": {"vectors": {"size": _DIMENSIONS, "distance": "Cosine"}}}
    generator = np.random.default_rng(7)
    for name in ("blue", "green"):
        store.create(name, params, {})
    store.point_alias(_ALIAS, "blue")
    for start in range(0, points, _BATCH):
        vectors = generator.standard_normal((_BATCH, _DIMENSIONS), dtype=np.float32)
        blue = [
            Point(start + at, vector, _payload(start + at)) for at, vector in enumerate(vectors)
        ]
        store.upsert("blue", blue)
        store.upsert("green", [Point(one.id, one.vector, _marked(one)) for one in blue])


def _payload(number: int) -> dict[str, object]:
    return {"id": number, "title": f"record {number}", "text": "some words of a record " * 4}


def _marked(point: Point) -> dict[str, object]:
    """As ``populate`` writes it."""
    mark = {"n": point.id, "from": digest_origin(point.payload)}
    return {**point.payload, MARK_KEY: mark}


def _compare(store: VectorStore) -> None:
    seen = BucketDigests()
    position = None
    while True:
        found = compare_page(store, *_SIDES, position)
        seen.add(found.leading)
        if found.ids:
            raise AssertionError(f"{len(found.ids)} points differ, and none should")
        position = found.following
        if position is None:
            return


def _read(store: VectorStore) -> None:
    for side in _SIDES:
        position = None
        while True:
            _, position = store.scroll(side.collection, position, PAGE_POINTS, vectors=False)
            if position is None:
                break


def _measure_scan(store: VectorStore, points: int, rounds: int) -> list[Result]:
    compared = []
    read = []
    worked = []
    for _ in range(rounds):
        read.append(seconds(lambda: _read(store)))
        began = time.process_time()
        compared.append(seconds(lambda: _compare(store)))
        worked.append(time.process_time() - began)
    rate = points / statistics.median(worked)
    return [
        Result(
            f"comparison of {points:,} points",
            rates(points, compared, "ids"),
            f"{rates(points, read, 'ids')} both only read",
            median_ratio(read, compared),
        ),
        Result(
            "the same in a second of one core, the server's work left out",
            f"{rate:,.0f} ids",
            bound=f"at least {RATE:,} ids",
            ok=rate >= RATE,
        ),
    ]


def _measure_fence(world: World, points: int, size: Size) -> Result:
    held = []
    read = []
    for target in ("green", "blue") * ROUNDS[size]:
        read.append(seconds(lambda: _read(world.store)))
        held.append(seconds(_pass_fence(world, target)))
    ratio = median_ratio(held, read)
    return Result(
        f"fence at {points:,} points",
        f"{statistics.median(held):.2f} s ({min(held):.2f} to {max(held):.2f})",
        f"{statistics.median(read):.2f} s ({min(read):.2f} to {max(read):.2f}) both only read",
        ratio,
        f"at most {FENCE:g}",
        ratio <= FENCE,
    )


def _pass_fence(world: World, target: str) -> Callable[[], None]:
    def passed() -> None:
        freezing.freeze_collection(world.services, "blue", "benchmark", 60)
        _compare(world.store)
        world.store.point_alias(_ALIAS, target)
        freezing.lift_freeze(world.services, "blue", "benchmark")

    return passed
