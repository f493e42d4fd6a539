"""What the gate finds out about an existing collection."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.evidence.asking import PATIENCE, search_live
from qdrant_rollouts.core.gate.evidence.context import GateContext, LiveCollection
from qdrant_rollouts.core.gate.evidence.round_trip import are_alike
from qdrant_rollouts.core.ports import Health, Point, SearchParams

SPEC = IndexSpec.model_validate({"validation": {"live_searches_per_second": 1e6}})


@pytest.fixture
def store() -> Iterator[LocalStore]:
    made = LocalStore(":memory:")
    yield made
    made.close()


def fill(store: LocalStore, name: str, vectors: Any, distance: str = "Cosine") -> None:
    size = len(vectors[0])
    store.create(
        name,
        {"params": {"vectors": {"size": size, "distance": distance}}, "payload_schema": {}},
        {},
    )
    store.upsert(name, [Point(at, vector, {"id": at}) for at, vector in enumerate(vectors)])


def rows(
    store: LocalStore, green: str, live: LiveCollection | None = None
) -> dict[str, dict[str, Any]]:
    judged = GateContext(
        store, green, SPEC, live=live, wanted=store.schema(green), filled=Filling(expected=40)
    )
    while verdict.collect_evidence(judged, lambda: False) is not None:
        pass
    return {row["name"]: row for row in verdict.build_report(judged)["checks"]}


def directions(count: int, size: int = 16) -> Any:
    made = np.random.default_rng(5).standard_normal((count, size)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_by_dot_product_a_longer_vector_may_come_before_the_point_itself(store: LocalStore) -> None:
    lengths = np.linspace(0.1, 10, 40, dtype=np.float32)[:, None]
    fill(store, "green", directions(40) * lengths, "Dot")
    assert rows(store, "green")["self_retrieval"]["verdict"] == "pass"


def test_many_equal_vectors_tie_for_themselves(store: LocalStore) -> None:
    fill(store, "green", np.repeat(directions(1), 40, axis=0))
    assert rows(store, "green")["self_retrieval"]["verdict"] == "pass"


def test_one_zero_vector_among_many_is_found(store: LocalStore) -> None:
    vectors = directions(40)
    vectors[17] = 0
    fill(store, "green", vectors)
    row = rows(store, "green")["vector_sanity"]
    assert (row["verdict"], row["value"], row["n"]) == ("block", 1, 40)
    assert "17 (zero)" in row["detail"]


def test_at_the_origin_nothing_is_wrong_where_distances_are_measured(store: LocalStore) -> None:
    vectors = directions(40)
    vectors[17] = 0
    fill(store, "green", vectors, "Euclid")
    assert rows(store, "green")["vector_sanity"]["verdict"] == "pass"


def test_an_identical_rebuild_agrees_with_live_in_everything_that_is_shown(
    store: LocalStore,
) -> None:
    fill(store, "blue", directions(40))
    fill(store, "green", directions(40))
    found = rows(store, "green", LiveCollection("blue", "", None, same_model=True, same_texts=True))
    assert found["overlap"]["value"] == pytest.approx(1)
    assert found["score_shift"]["value"] == 0
    assert found["count_vs_live"]["value"] == 0
    assert {found[name]["level"] for name in ("overlap", "score_shift", "count_vs_live")} == {
        "shown"
    }


class Unordered:
    """A store that answers equal scores in another order each time, and cuts them off anywhere."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._random = np.random.default_rng(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def search_many(self, collection: str, vectors: Any, limit: int, how: SearchParams) -> Any:
        every = self._store.search_many(collection, vectors, 1000, how)
        for hits in every:
            self._random.shuffle(hits)
            hits.sort(key=lambda hit: -round(hit.score, 4))
        return [hits[:limit] for hits in every]


def test_texts_that_score_alike_are_no_difference_between_identical_collections(
    store: LocalStore,
) -> None:
    """Forty points on three vectors: which ten of those that tie are found is chance."""
    vectors = np.repeat(directions(3), [20, 10, 10], axis=0)
    fill(store, "blue", vectors)
    fill(store, "green", vectors)
    found = rows(
        Unordered(store),
        "green",
        LiveCollection("blue", "", None, same_model=True, same_texts=True),
    )  # type: ignore[arg-type]  # a double
    assert found["overlap"]["value"] == pytest.approx(1)


class Forgetful:
    """A store whose index of green misses every other neighbour; exact search still finds them."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def search_many(self, collection: str, vectors: Any, limit: int, how: SearchParams) -> Any:
        found = self._store.search_many(collection, vectors, limit, how)
        if how.exact or collection != "green":
            return found
        return [[hit for hit in hits if int(hit.id) % 2 == 0] for hits in found]


def test_an_index_that_misses_neighbours_blocks_and_is_named_as_the_cause(
    store: LocalStore,
) -> None:
    fill(store, "blue", directions(60))
    fill(store, "green", directions(60))
    live = LiveCollection("blue", "", None, same_model=True, same_texts=True)
    judged = GateContext(Forgetful(store), "green", SPEC, live=live, filled=Filling(expected=60))  # type: ignore[arg-type]  # a double
    while verdict.collect_evidence(judged, lambda: False) is not None:
        pass
    report = verdict.build_report(judged)
    assert {row["name"]: row["verdict"] for row in report["checks"]}["ann_recall@10"] == "block"
    assert report["attribution"]["cause"] == "index"
    assert report["attribution"]["lost"]["data"] == pytest.approx(0)


class Counting:
    """A store that notes when the live collection is searched, and for how many vectors."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.moments: list[float] = []
        self.patience: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def search(self, collection: str, *rest: Any) -> Any:
        self.moments += [time.monotonic()] * (collection == "blue")
        return self._store.search(collection, *rest)

    def search_many(self, collection: str, vectors: Any, limit: int, how: SearchParams) -> Any:
        self.moments += [time.monotonic()] * (len(vectors) * (collection == "blue"))
        self.patience.append(how.seconds)
        return self._store.search_many(collection, vectors, limit, how)


def test_many_small_batches_are_waited_for_no_longer_than_one(store: LocalStore) -> None:
    """A turn that outlasts its lease is taken away."""
    fill(store, "blue", directions(40))
    fill(store, "green", directions(40))
    counting = Counting(store)
    live = LiveCollection("blue", "", None, same_model=True, same_texts=True)
    spec = IndexSpec.model_validate({"validation": {"live_searches_per_second": 70}})
    found = search_live(GateContext(counting, "green", spec, live=live), list(directions(32)), 5)  # type: ignore[arg-type]  # a double
    assert (len(found), len(counting.patience)) == (32, 5)
    assert sum(counting.patience) == pytest.approx(PATIENCE)


def test_no_second_of_a_gate_sees_more_searches_of_live_than_the_index_file_allows(
    store: LocalStore,
) -> None:
    """Samples, timing, attribution and the worst queries together, in as many turns as there are
    pieces."""
    fill(store, "blue", directions(60))
    fill(store, "green", directions(60)[::-1])
    most = 60
    counting = Counting(store)
    memory = {}
    checks = {"latency_p50": True, "overlap": 1.0}
    spec = IndexSpec.model_validate(
        {"validation": {"live_searches_per_second": most, "checks": checks}}
    )
    live = LiveCollection("blue", "", None, same_model=True, same_texts=True)

    def turn() -> GateContext:
        return GateContext(
            counting, "green", spec, live=live, filled=Filling(expected=60), memory=memory
        )  # type: ignore[arg-type]  # a double

    while verdict.collect_evidence(turn(), lambda: True) is not None:
        pass
    assert verdict.build_report(turn())["attribution"]["n"] == 60
    assert len(counting.moments) > 4 * most
    assert (
        max(sum(at <= one < at + 1 for one in counting.moments) for at in counting.moments) <= most
    )


@pytest.mark.parametrize(
    ("stored", "read", "expected"),
    [
        (-9129825.816118121, -9129825.81611812, True),
        ({"a": [1.1, {"b": 3.3e300}]}, {"a": [1.1, {"b": 3.3000000000000003e300}]}, True),
        (5e-324, 0.0, True),
        (1e16, 10**16, True),
        (2**53, 2**53 + 1, False),
        (19.99, 19.98, False),
        (1.0000000001, 1.0, False),
        (True, 1, False),
        ("1", 1, False),
        ([1], [1, 2], False),
        ({"a": None}, {}, False),
        (None, 0, False),
    ],
)
def test_a_payload_is_the_same_but_for_the_last_digits_of_its_fractions(
    stored: Any, read: Any, expected: bool
) -> None:
    assert (are_alike(stored, read), are_alike(read, stored)) == (expected, expected)


class Indexing:
    """A server that is building its index for as long as it is asked, and tells how far it is, or
    does not."""

    def __init__(self, store: LocalStore, worked: int | None) -> None:
        self._store = store
        self._worked = worked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def server(self) -> Any:
        return replace(self._store.server(), embedded=False)

    def health(self, collection: str) -> Health:
        return Health(
            "yellow",
            "ok",
            points=40,
            indexed_vectors=0,
            segments=2,
            optimizing=1,
            worked=self._worked,
        )


@pytest.mark.parametrize(("worked", "expected"), [(None, "inconclusive"), (7, "block")])
def test_an_index_that_is_being_built_is_stuck_only_where_the_server_tells_that_nothing_gets_on(
    store: LocalStore, worked: int | None, expected: str
) -> None:
    fill(store, "green", directions(40))
    spec = IndexSpec.model_validate({"validation": {"budget_seconds": 2.0}})
    judged = GateContext(Indexing(store, worked), "green", spec, ready_look=0.01)  # type: ignore[arg-type]  # a double
    while verdict.collect_evidence(judged, lambda: False) is not None:
        pass
    row = next(row for row in verdict.build_report(judged)["checks"] if row["name"] == "ready")
    assert row["verdict"] == expected
