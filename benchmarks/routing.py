"""A routed search beside the search alone, and what the router itself does for one.

On a real Qdrant server, during a canary of one half: each round makes the same search directly and
through the router, in turn. Bounds: the median of a routed search is at most 5 % over
``query_points`` where that takes 1 ms, and the router's own work for one is at most 50
microseconds, also if the application makes it itself (``router.arm``), and if the router has no
database and reaches its routes by HTTP. A change of the route reaches the router within a second in
99 of 100 cases, also without Redis, where the router must look.
"""

import math
import random
import statistics
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient

from benchmarks.gate import VECTOR_SIZE, fill, until_ready
from benchmarks.installation import Installation, declare, settings
from benchmarks.results import Result, Size, seconds
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.ports import Hit
from qdrant_rollouts.core.routing import Router, table
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.statistics.assignment import BASIS
from tests.by_http import ByHttp
from tests.reach import ByDatabase, Reach
from tests.servers import Qdrant

OVER = 0.05
OWN = 50e-6
FOLLOWED = 1.0
CHANGES = {Size.FULL: 200, Size.CI: 50, Size.SMALLEST: 2}
POINTS = {Size.FULL: 20_000, Size.CI: 20_000, Size.SMALLEST: 1_000}
ROUNDS = {Size.FULL: 4000, Size.CI: 1000, Size.SMALLEST: 20}
_LIMIT = 10
_USERS = 1000


def run(size: Size) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="rollouts-routing-") as name, Qdrant() as server:
        folder = Path(name)
        store = ServerStore(server.url, grpc_port=server.grpc_port)
        for collection in ("blue", "green"):
            fill(store, collection, POINTS[size])
        until_ready(store, "green")
        store.point_alias("texts", "blue")
        declare(folder, {})
        installation = Installation(settings(folder, server.url, server.grpc_port))
        table.set_route(
            installation.services, "texts", blue="blue", green="green", share=5000, salt="benchmark"
        )
        client = QdrantClient(url=server.url, grpc_port=server.grpc_port, trust_env=False)
        results = [
            _over(installation.services, client, ROUNDS[size]),
            *_own(installation.services, ByDatabase(), "", ROUNDS[size]),
            *_own(installation.services, ByHttp(), " by HTTP", ROUNDS[size]),
            _follow(installation.services, CHANGES[size]),
        ]
        client.close()
        installation.close()
    return results


def _over(services: Services, client: QdrantClient, rounds: int) -> Result:
    vectors = np.random.default_rng(5).standard_normal((64, VECTOR_SIZE)).astype(np.float32)
    lists = [vector.tolist() for vector in vectors]
    direct = []
    routed = []
    bare = []
    with Router(services) as router:
        for number in range(rounds):
            vector = vectors[number % 64]
            plain = lists[number % 64]
            user = f"user {number % _USERS}"
            asked = router.search(
                "texts", vector, user, _LIMIT
            ).collection  # which is then as warm for all three
            direct.append(seconds(lambda: client.query_points(asked, query=plain, limit=_LIMIT)))  # noqa: B023 - called at once
            bare.append(seconds(lambda: services.store.search(asked, vector, _LIMIT)))  # noqa: B023 - the same
            routed.append(seconds(lambda: router.search("texts", vector, user, _LIMIT)))  # noqa: B023 - the same
    middle, baseline, ours = (statistics.median(times) for times in (routed, direct, bare))
    return Result(
        f"routed search, median of {rounds:,}",
        f"{middle * 1000:.3f} ms",
        f"{baseline * 1000:.3f} ms client.query_points; {ours * 1000:.3f} ms our search without "
        "the router",
        middle / baseline,
        f"at most {1 + OVER:g}",
        middle / baseline <= 1 + OVER,
    )


def _own(services: Services, reach: Reach, how: str, rounds: int) -> list[Result]:
    """The searches themselves take nothing here."""
    vector = np.zeros(VECTOR_SIZE, dtype=np.float32)
    at_once = _AtOnce(services.store)
    with closing(reach), reach.open_router(replace(services, store=at_once)) as router:

        def make_search(user: str) -> None:
            router.search("texts", vector, user, _LIMIT)

        def take_arm(user: str) -> None:
            with router.arm("texts", user) as arm:
                arm.results(_LIMIT)

        return [
            _measure_own(f"search{how}", make_search, rounds),
            _measure_own(f"arm{how}", take_arm, rounds),
        ]


def _follow(services: Services, changes: int) -> Result:
    """All searches are moved to one collection and to the other, at times that do not depend on
    when the router looks."""
    drawn = random.Random(5)
    taken = []
    with Router(services) as router:
        for number in range(changes):
            wanted = ("blue", "green")[number % 2]
            _find_collection(router)
            threading.Event().wait(drawn.uniform(0.0, 0.5))
            table.set_route(
                services,
                "texts",
                blue="blue",
                green="green",
                share=number % 2 * BASIS,
                salt="benchmark",
            )
            taken.append(seconds(partial(_await_collection, router, wanted)))
    taken.sort()
    late = taken[math.ceil(0.99 * changes) - 1]
    return Result(
        f"a change of the route is followed, 99th percentile of {changes:,}",
        f"{late:.3f} s",
        f"{statistics.median(taken):.3f} s in the median",
        bound=f"at most {FOLLOWED:g} s",
        ok=late <= FOLLOWED,
    )


def _await_collection(router: Router, wanted: str) -> None:
    while _find_collection(router) != wanted:
        threading.Event().wait(0.001)


def _find_collection(router: Router) -> str:
    with router.arm("texts", "anna") as arm:
        return arm.collection


def _measure_own(kind: str, work: Callable[[str], None], rounds: int) -> Result:
    taken = [seconds(partial(work, f"user {number % _USERS}")) for number in range(rounds)]
    own = statistics.median(taken)
    return Result(
        f"the router's own work for one {kind}",
        f"{own * 1e6:.1f} µs",
        "a search that takes nothing",
        None,
        f"at most {OWN * 1e6:g} µs",
        own <= OWN,
    )


class _AtOnce:
    """A store whose searches are answered already."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._hits = [Hit(number, 1.0, {}) for number in range(_LIMIT)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def search(self, *_: Any, **__: Any) -> list[Hit]:
        return self._hits
