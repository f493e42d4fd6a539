"""What the journal costs a writer, and how long a fence keeps writers waiting.

On a real Qdrant server and a real PostgreSQL, over REST. A write through our client is measured
beside the same write through qdrant-client's, in turn: without a rebuild, and while one captures.
Then four processes write again and again, a hundredth of a second apart, while writes are led from
one collection to the other and back. Bounds: 1.03 times a plain upsert without a rebuild, 2.2 times
while one captures, and 100 ms for 95 of 100 fences.
"""

import multiprocessing
import os
import statistics
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import numpy as np
import qdrant_client
from qdrant_client import models

from benchmarks.results import Result, Size, median_ratio, seconds
from qdrant_rollouts.adapters.database import open_engine
from qdrant_rollouts.adapters.migrate import migrate_database
from qdrant_rollouts.adapters.writing_client import QdrantClient
from qdrant_rollouts.core.errors import Unavailable
from tests.journaled import ALIAS, PlainPoints, Rebuild, open_services
from tests.servers import Postgres, Qdrant

IDLE = 1.03
CAPTURING = 2.2
FENCE = 0.1
ROUNDS = {Size.FULL: 2_000, Size.CI: 500, Size.SMALLEST: 5}
FENCES = {Size.FULL: 100, Size.CI: 40, Size.SMALLEST: 2}
_DIMENSION = 384
_WRITERS = 4
#: Seconds between two writes of a writer.
_THINKING = 0.01


def run(size: Size) -> list[Result]:
    with Qdrant() as qdrant, Postgres() as postgres, _database(postgres.url):
        points = PlainPoints(qdrant.url)
        services = open_services(postgres.url)
        with closing(points.client), closing(services):
            rebuild = _begin(points, services)
            with closing(QdrantClient(url=qdrant.url)) as ours:
                results = [
                    *_cost("without a rebuild", points.client, ours, ROUNDS[size], IDLE),
                ]
                rebuild.capture()
                results += _cost("captured", points.client, ours, ROUNDS[size], CAPTURING)
            rebuild.backfill()
            rebuild.catch_up()
            results.append(_fences(rebuild, qdrant.url, FENCES[size]))
    return results


@contextmanager
def _database(url: str) -> Iterator[None]:
    """Our client finds it by the environment, as an application's does."""
    engine = open_engine(url)
    migrate_database(engine)
    engine.dispose()
    os.environ["ROLLOUTS_DATABASE_URL"] = url
    yield
    del os.environ["ROLLOUTS_DATABASE_URL"]


def _begin(points: PlainPoints, services: Any) -> Rebuild:
    for name in ("blue", "green"):
        points.client.create_collection(
            name, models.VectorParams(size=_DIMENSION, distance=models.Distance.COSINE)
        )
    act = models.CreateAlias(collection_name="blue", alias_name=ALIAS)
    points.client.update_collection_aliases([models.CreateAliasOperation(create_alias=act)])
    return Rebuild(services, points, "blue", "green")


def _cost(
    when: str,
    plain: qdrant_client.QdrantClient,
    ours: qdrant_client.QdrantClient,
    rounds: int,
    most: float,
) -> list[Result]:
    return [_cost_of(when, plain, ours, rounds, most, count) for count in (1, 64)]


def _cost_of(
    when: str,
    plain: qdrant_client.QdrantClient,
    ours: qdrant_client.QdrantClient,
    rounds: int,
    most: float,
    count: int,
) -> Result:
    generator = np.random.default_rng(7)
    direct = []
    journaled = []
    for _ in range(rounds):
        rows = _rows(generator, count)
        direct.append(seconds(lambda: plain.upsert(ALIAS, rows)))  # noqa: B023 - called at once
        journaled.append(seconds(lambda: ours.upsert(ALIAS, rows)))  # noqa: B023 - the same
    ratio = median_ratio(journaled, direct)
    return Result(
        f"upsert of {count}, {when}",
        f"{statistics.median(journaled) * 1000:.2f} ms",
        f"{statistics.median(direct) * 1000:.2f} ms client.upsert",
        ratio,
        f"at most {most:g}",
        ratio <= most,
    )


def _rows(generator: np.random.Generator, count: int) -> list[models.PointStruct]:
    vectors = generator.standard_normal((count, _DIMENSION)).tolist()
    ids = generator.integers(1, 10_000, count).tolist()
    return [
        models.PointStruct(id=one, vector=vector, payload={"text": "some words of a record"})
        for one, vector in zip(ids, vectors, strict=True)
    ]


def _fences(rebuild: Rebuild, url: str, count: int) -> Result:
    """Writers are processes of their own, as applications are."""
    fresh = multiprocessing.get_context("spawn")
    stopped = fresh.Event()
    writers = [
        fresh.Process(target=_write_on, args=(url, number, stopped)) for number in range(_WRITERS)
    ]
    for writer in writers:
        writer.start()
    held: list[float] = []
    dropped = 0
    for number in range(count):
        tried = rebuild.switch(("green", "blue")[number % 2])
        held.append(tried[-1])
        dropped += sum(one > 0 for one in tried[:-1])
    stopped.set()
    for writer in writers:
        writer.join()
    late = statistics.quantiles(held, n=20)[-1]
    return Result(
        f"fence with {_WRITERS} writers that never stop, 95 of 100",
        f"{late * 1000:.0f} ms ({min(held) * 1000:.0f} to {max(held) * 1000:.0f}, median "
        f"{statistics.median(held) * 1000:.0f})",
        f"{count} switches, {dropped} fences dropped",
        None,
        f"at most {FENCE * 1000:g} ms",
        late <= FENCE,
    )


def _write_on(url: str, number: int, stopped: Any) -> None:
    generator = np.random.default_rng(number)
    with closing(QdrantClient(url=url)) as client:
        while not stopped.is_set():
            with suppress(Unavailable):
                client.upsert(ALIAS, _rows(generator, 1))
            stopped.wait(_THINKING)
