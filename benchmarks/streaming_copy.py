"""Copying a collection: our stream and a snapshot against the client's own loops and against
scrolling alone.

``python -m benchmarks.streaming_copy [--url URL --grpc-port PORT] [--points N] [--rounds N]``
measures on a server of your choice; exit code 1 if a bound is missed. Bounds (issue 2): the stream
is 1.5 times as fast as the faster typed loop and reaches 0.9 of the rate of a scroll; a snapshot,
index included, is 5 times as fast as the typed loop.

The scroll that bears the bound is one as every client asks for it, which accepts gzip. Read without
gzip, the server gives points several times faster than it takes them, and no copy reaches 0.9 of
that: this ratio stands in the table without a bound.
"""

import argparse
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import httpx
import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as pb

from benchmarks.results import Result, Size, median_ratio, rates, ratio_of_at_least, seconds
from qdrant_rollouts.adapters.qdrant_server import ServerStore
from qdrant_rollouts.core.collections.readiness import count_vectors, judge_readiness
from qdrant_rollouts.core.errors import Unavailable
from qdrant_rollouts.core.ports import Point
from tests.servers import Qdrant

POINTS = {Size.FULL: 20_000, Size.CI: 10_000, Size.SMALLEST: 2_000}
ROUNDS = {Size.FULL: 3, Size.CI: 2, Size.SMALLEST: 1}
_STREAM = 1.5
_SCROLL = 0.9
_SNAPSHOT = 5.0
_DIMENSIONS = 384
#: Small enough that the points get an index, so that a snapshot has one to carry.
_SCHEMA = {
    "params": {"vectors": {"size": _DIMENSIONS, "distance": "Cosine"}},
    "optimizer_config": {"indexing_threshold": 2_000},
}
_PAGE = 256
_PATIENCE = 600.0
_PAUSE = threading.Event()
_UNLIMITED = [("grpc.max_receive_message_length", -1)]
_WORDS = (
    "the",
    "alias",
    "moves",
    "once",
    "and",
    "every",
    "search",
    "goes",
    "on",
    "while",
    "an",
    "index",
    "is",
    "made",
)


@dataclass
class Ground:
    """The server, both ways to ask it, and the collection that is copied."""

    store: ServerStore
    host: str
    port: int
    grpc_port: int
    source: str
    points: int

    def typed(self, *, over_grpc: bool) -> QdrantClient:
        return QdrantClient(
            host=self.host,
            port=self.port,
            grpc_port=self.grpc_port,
            prefer_grpc=over_grpc,
            timeout=60,
        )


def run(size: Size) -> list[Result]:
    with Qdrant() as server:
        return compared(
            POINTS[size], _taken(server.url, server.grpc_port, POINTS[size], ROUNDS[size])
        )


def main() -> int:
    arguments = _arguments()
    results = compared(
        arguments.points,
        _taken(arguments.url, arguments.grpc_port, arguments.points, arguments.rounds),
    )
    for result in results:
        verdict = {True: "ok", False: "MISSED", None: ""}[result.ok]
        ratio = f"{result.ratio:.2f}, {result.bound}" if result.ratio is not None else ""
        print(f"{result.name:50} {result.value:45} {ratio} {verdict}")
    return 1 if any(result.ok is False for result in results) else 0


def compared(points: int, taken: Mapping[str, Sequence[float]]) -> list[Result]:
    """Scrolls without gzip bear no bound: the server writes slower than it reads like that, so no
    copy could keep up with them; the ratio to them is shown all the same."""
    typed = _fastest(taken, TYPED)
    results = [
        _bounded("stream against the faster typed loop", points, taken[STREAM], typed, _STREAM),
        _bounded(
            "stream against the fastest scroll, as clients ask",
            points,
            taken[STREAM],
            _fastest(taken, SCROLLS),
            _SCROLL,
        ),
        _bounded(
            "snapshot with its index against the typed loop",
            points,
            taken[SNAPSHOT],
            typed,
            _SNAPSHOT,
        ),
    ]
    results.append(_against_plain(points, taken))
    return results + [
        Result(name, rates(points, taken[name], "points"))
        for name in (*TYPED, *SCROLLS, *PLAIN_SCROLLS)
    ]


# --- what is measured: seconds for all points -----------------------------------------------------


def typed_loop(ground: Ground, target: str, *, over_grpc: bool) -> None:
    """What the client's users write: scroll a page, upsert it."""
    with closing(ground.typed(over_grpc=over_grpc)) as client:
        after = None
        more = True
        while more:
            records, after = client.scroll(
                ground.source, limit=_PAGE, offset=after, with_payload=True, with_vectors=True
            )
            points = [
                models.PointStruct(id=one.id, vector=_vector(one), payload=one.payload)
                for one in records
            ]
            client.upsert(target, points, wait=True)
            more = after is not None


def _vector(record: models.Record) -> Any:
    """What is read may be written again, though the client's types say otherwise."""
    return record.vector


def typed_scroll(ground: Ground, _: str, *, over_grpc: bool) -> None:
    with closing(ground.typed(over_grpc=over_grpc)) as client:
        after = None
        more = True
        while more:
            _page, after = client.scroll(
                ground.source, limit=_PAGE, offset=after, with_payload=True, with_vectors=True
            )
            more = after is not None


def raw_rest_scroll(ground: Ground, _: str, *, compressed: bool) -> None:
    """Pages as they come, without making objects of them. Every HTTP client accepts gzip unless it
    is told not to."""
    headers = {} if compressed else {"accept-encoding": "identity"}
    body: dict[str, object] = {"limit": _PAGE, "with_payload": True, "with_vector": True}
    with httpx.Client(
        base_url=f"http://{ground.host}:{ground.port}", headers=headers, timeout=60
    ) as client:
        following: re.Match[bytes] | None = re.match(rb"()", b"")
        while following:
            page = client.post(f"/collections/{ground.source}/points/scroll", json=body).content
            following = re.search(rb'"next_page_offset":(\d+)', page)
            body["offset"] = int(following[1]) if following else None


def raw_grpc_scroll(ground: Ground, _: str, *, compressed: bool) -> None:
    """Raw stubs. Every gRPC client, too, accepts gzip unless it is told not to."""
    options = _UNLIMITED + (
        [] if compressed else [("grpc.compression_enabled_algorithms_bitset", 1)]
    )
    with grpc.insecure_channel(f"{ground.host}:{ground.grpc_port}", options) as channel:
        request = pb.ScrollPoints(collection_name=ground.source, limit=_PAGE)
        request.with_payload.enable = request.with_vectors.enable = True
        points: Any = pb.PointsStub
        scroll = points(channel).Scroll
        more = True
        while more:
            page = scroll(request)
            request.offset.CopyFrom(page.next_page_offset)
            more = page.HasField("next_page_offset")


def stream(ground: Ground, target: str) -> None:
    _, position = ground.store.copy(ground.source, target, None, _PATIENCE)
    assert position is None


def snapshot(ground: Ground, target: str) -> None:
    """Until the clone's index is ready, as the populate step sees it."""
    store = ground.store
    source = ground.source
    made = store.make_snapshot(source, _PATIENCE)
    store.recover(target, source, made, _PATIENCE)
    _until(lambda: _recovered(store, target, ground.points))
    store.drop_snapshot(source, made.name)


Measure = Callable[[Ground, str], None]
TYPED: dict[str, Measure] = {
    "typed loop, REST": partial(typed_loop, over_grpc=False),
    "typed loop, gRPC": partial(typed_loop, over_grpc=True),
}
SCROLLS: dict[str, Measure] = {
    "scroll alone, typed, REST": partial(typed_scroll, over_grpc=False),
    "scroll alone, typed, gRPC": partial(typed_scroll, over_grpc=True),
    "scroll alone, raw, REST": partial(raw_rest_scroll, compressed=True),
    "scroll alone, raw, gRPC": partial(raw_grpc_scroll, compressed=True),
}
PLAIN_SCROLLS: dict[str, Measure] = {
    "scroll alone, raw, REST without gzip": partial(raw_rest_scroll, compressed=False),
    "scroll alone, raw, gRPC without gzip": partial(raw_grpc_scroll, compressed=False),
}
STREAM = "stream"
SNAPSHOT = "snapshot"
OURS: dict[str, Measure] = {STREAM: stream, SNAPSHOT: snapshot}


# --- around it ------------------------------------------------------------------------------------


def _taken(url: str, grpc_port: int, points: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each measure in each round; the measures take turns."""
    ground = _filled(url, grpc_port, points)
    measures = TYPED | SCROLLS | PLAIN_SCROLLS | OURS
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            taken[name].append(
                _measured(ground, measure, copies=name not in SCROLLS | PLAIN_SCROLLS)
            )
    ground.store.drop(ground.source)
    ground.store.close()
    return taken


def _measured(ground: Ground, measure: Measure, *, copies: bool) -> float:
    """Seconds. Each measure gets an empty clone of the source; a copy is counted afterwards."""
    target = f"{ground.source}_copy"
    ground.store.create(target, ground.store.schema(ground.source), {})
    spent = seconds(partial(measure, ground, target))
    if copies:
        assert ground.store.count(target) == ground.points
    ground.store.drop(target)
    return spent


def _fastest(taken: Mapping[str, Sequence[float]], names: Collection[str]) -> list[float]:
    """The least seconds of these measures in each round."""
    return [min(round_) for round_ in zip(*(taken[name] for name in names), strict=True)]


def _bounded(
    name: str, points: int, ours: Sequence[float], theirs: Sequence[float], bound: float
) -> Result:
    ratio = median_ratio(theirs, ours)
    return ratio_of_at_least(
        name, rates(points, ours, "points"), rates(points, theirs, "points"), ratio, bound
    )


def _against_plain(points: int, taken: Mapping[str, Sequence[float]]) -> Result:
    plain = _fastest(taken, PLAIN_SCROLLS)
    name = "stream against the fastest scroll without gzip"
    ratio = median_ratio(plain, taken[STREAM])
    return Result(
        name, rates(points, taken[STREAM], "points"), rates(points, plain, "points"), ratio
    )


def _filled(url: str, grpc_port: int, points: int) -> Ground:
    store = ServerStore(url, "", grpc_port)
    source = f"bench_{uuid.uuid4().hex[:8]}"
    store.create(source, _SCHEMA, {})
    rng = np.random.default_rng(7)
    for start in range(0, points, 1_000):
        numbers = range(start, min(points, start + 1_000))
        vectors = rng.standard_normal((len(numbers), _DIMENSIONS), dtype=np.float32)
        store.upsert(source, [Point(n, vectors[n - start], _payload(rng, n)) for n in numbers])
    _until(lambda: _ready(store, source))
    address = httpx.URL(url)
    return Ground(store, address.host, address.port or 6333, grpc_port, source, points)


def _payload(rng: np.random.Generator, number: int) -> dict[str, object]:
    words = [str(word) for word in rng.choice(_WORDS, 80)]
    return {
        "id": f"doc-{number}",
        "title": " ".join(words[:6]),
        "text": " ".join(words),
        "n": number,
        "tags": words[:3],
    }


def _ready(store: ServerStore, collection: str) -> bool:
    schema = store.schema(collection)
    vectors = count_vectors(schema, lambda name: store.count(collection, having=name))
    return judge_readiness(schema, store.health(collection), vectors).ready


def _recovered(store: ServerStore, target: str, points: int) -> bool:
    try:
        return store.count(target) == points and _ready(store, target)
    except Unavailable:  # for a moment, while the server exchanges the collection's content
        return False


def _until(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not happens():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing happened for {_PATIENCE} s")
        _PAUSE.wait(0.02)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:6333")
    parser.add_argument("--grpc-port", type=int, default=6334)
    parser.add_argument("--points", type=int, default=POINTS[Size.FULL])
    parser.add_argument("--rounds", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
