"""The table of vector kinds: what is the same, what is empty, what a vector scores, and what
fits."""

import numpy as np
import pytest

from qdrant_rollouts.core.collections.readiness import inspect_readiness
from qdrant_rollouts.core.collections.schema import (
    NewVectors,
    build_schema,
    embedded_vector,
    main_vector,
    meant_vector,
)
from qdrant_rollouts.core.config.index_file import CollectionSpec
from qdrant_rollouts.core.config.vector_kinds import (
    KINDS,
    describe_vector,
    kind_of,
    vectors_by_name,
)
from qdrant_rollouts.core.ports import Health, Point

DENSE = KINDS["dense"]
MULTI = KINDS["multi"]
SPARSE = KINDS["sparse"]
ROWS = {"size": 2, "distance": "Cosine", "multivector_config": {"comparator": "max_sim"}}


def settings(distance, datatype=None):
    return {"size": 2, "distance": distance, **({"datatype": datatype} if datatype else {})}


@pytest.mark.parametrize(
    ("params", "name"),
    [
        (settings("Dot"), "dense"),
        (ROWS, "multi"),
        ({}, "sparse"),
        ({"modifier": "idf", "index": {}}, "sparse"),
    ],
)
def test_settings_tell_the_kind(params, name):
    assert kind_of(params) is KINDS[name]


@pytest.mark.parametrize(
    ("kind", "params", "wanted", "stored", "same"),
    [
        (DENSE, settings("Cosine"), [3.0, 4.0], [0.6, 0.8], True),
        (DENSE, settings("Dot"), [3.0, 4.0], [0.6, 0.8], False),
        (DENSE, settings("Dot", "float16"), [0.1, 0.2], [0.09998, 0.19995], True),
        (DENSE, settings("Euclid", "uint8"), [3.7, 300.0], [3.0, 255.0], True),
        (DENSE, settings("Euclid", "uint8"), [3.7, 0.2], [3.7, 0.2], True),
        (DENSE, settings("Euclid"), [0.0, 0.0], [0.0, 0.0], True),
        (DENSE, settings("Euclid"), [0.0, 0.0], [0.0, 1.0], False),
        (DENSE, settings("Dot"), [1.0, 2.0], [1.0, 2.0, 3.0], False),
        # Cosine keeps the direction of each row, and rows may be of unequal lengths.
        (MULTI, ROWS, [[3.0, 4.0], [0.0, 9.0]], [[0.6, 0.8], [0.0, 1.0]], True),
        (MULTI, ROWS, [[3.0, 4.0], [0.0, 9.0]], [[0.0, 1.0], [0.6, 0.8]], False),
        (MULTI, ROWS, [[3.0, 4.0]], [[0.6, 0.8], [0.0, 1.0]], False),
        (
            SPARSE,
            {},
            {"indices": [7, 1], "values": [0.5, 2.0]},
            {"indices": [1, 7], "values": [2.0, 0.5]},
            True,
        ),
        (
            SPARSE,
            {},
            {"indices": [7, 1], "values": [0.5, 0.0]},
            {"indices": [7], "values": [0.5]},
            True,
        ),
        (SPARSE, {}, {"indices": [7], "values": [0.5]}, {"indices": [7], "values": [0.51]}, False),
        (SPARSE, {}, {"indices": [7], "values": [0.5]}, {"indices": [8], "values": [0.5]}, False),
        (SPARSE, {}, {"indices": [], "values": []}, {"indices": [], "values": []}, True),
        (SPARSE, {}, {"indices": [1], "values": [1.0]}, {"indices": [], "values": []}, False),
    ],
)
def test_what_a_collection_keeps_of_a_vector_is_the_same_vector(kind, params, wanted, stored, same):
    assert kind.same(params, wanted, stored) is same


@pytest.mark.parametrize(
    ("kind", "params", "vector", "zero"),
    [
        (DENSE, settings("Dot"), [0.0, 0.0], True),
        (DENSE, settings("Manhattan"), [0.0, 0.0], False),
        (MULTI, ROWS, [[1.0, 0.0], [0.0, 0.0]], True),
        (MULTI, {**ROWS, "distance": "Dot"}, [[1.0, 0.0], [0.0, 0.0]], False),
        (MULTI, {**ROWS, "distance": "Dot"}, [[0.0, 0.0], [0.0, 0.0]], True),
        (SPARSE, {}, {"indices": [], "values": []}, False),
    ],
)
def test_a_vector_without_a_direction_is_a_fault_where_one_is_needed(kind, params, vector, zero):
    assert kind.zero(params, vector) is zero


@pytest.mark.parametrize(
    ("kind", "vector", "askable"),
    [
        (DENSE, [np.nan, 1.0], False),
        (MULTI, [[1.0, 1.0], [np.inf, 1.0]], False),
        (SPARSE, {"indices": [3], "values": [np.nan]}, False),
        (SPARSE, {"indices": [], "values": []}, False),
        (SPARSE, {"indices": [3], "values": [0.0]}, False),
        (SPARSE, {"indices": [3], "values": [-1.0]}, True),
        (MULTI, [[1.0, 1.0]], True),
    ],
)
def test_what_is_not_finite_or_empty_is_not_asked(kind, vector, askable):
    assert kind.askable(vector) is askable


def test_a_vector_is_scored_against_itself_as_a_server_does():
    assert DENSE.own_score(settings("Dot"), [1.0, 2.0]) == 5.0
    assert DENSE.own_score(settings("Cosine"), [1.0, 2.0]) is None
    # Each row with the one it is nearest to: (1,0) with (2,1), and (2,1) with itself.
    assert MULTI.own_score({**ROWS, "distance": "Dot"}, [[1.0, 0.0], [2.0, 1.0]]) == 2.0 + 5.0
    assert SPARSE.own_score({}, {"indices": [3, 9], "values": [1.0, -2.0]}) == 5.0
    assert SPARSE.own_score({"modifier": "idf"}, {"indices": [3], "values": [1.0]}) is None


def test_rows_are_counted_by_kind():
    sparse = {"indices": [3, 9, 4], "values": [1.0, 2.0, 0.0]}
    assert (DENSE.count([1.0, 2.0]), MULTI.count([[1.0, 2.0]] * 3), SPARSE.count(sparse)) == (
        1,
        3,
        2,
    )


def test_what_was_given_is_said_in_words():
    assert describe_vector([1.0, 2.0]) == "2 numbers"
    assert describe_vector([[1.0, 2.0]]) == "1 rows of 2 numbers"
    assert describe_vector([[1.0, 2.0], [1.0]]) == "no list of numbers"
    assert describe_vector({"indices": [], "values": []}) == "a sparse vector"
    assert vectors_by_name(np.ones(2)).keys() == {""}


SEVERAL = {
    "params": {
        "vectors": {"colbert": ROWS, "text": settings("Cosine")},
        "sparse_vectors": {"bm25": {}},
    }
}


def test_the_main_vector_is_a_dense_one_where_there_is_one():
    assert (
        main_vector({"params": {"vectors": {}, "sparse_vectors": {"words": {}, "bm25": {}}}})
        == "bm25"
    )
    assert main_vector({"params": {"vectors": settings("Dot")}}) == ""
    assert main_vector({"params": {"vectors": {}}}) == ""
    assert meant_vector({"params": {"vectors": {"text": settings("Dot")}}}, "") == "text"
    assert meant_vector(SEVERAL, "bm25") == "bm25"


def test_a_model_makes_the_only_vector_of_numbers():
    assert embedded_vector(SEVERAL, "", "docs") == "text"
    assert (
        build_schema(SEVERAL, CollectionSpec(), NewVectors({"text": 4}))["params"]["vectors"][
            "text"
        ]["size"]
        == 4
    )


# --- readiness ------------------------------------------------------------------------------------


class Store:
    """5,000 points, each with a dense and a sparse vector, of which so many are empty."""

    def __init__(self, empty):
        self.empty = empty

    def count(self, collection, having=None):
        return 5_000

    def sample(self, collection, having, size):
        values = [[] if number < size * self.empty / 5_000 else [1.0] for number in range(size)]
        return [
            Point(n, {having: {"indices": list(range(len(v))), "values": v}}, {})
            for n, v in enumerate(values)
        ]


@pytest.mark.parametrize(
    ("empty", "indexed", "ready"),
    [
        (0, 10_000, True),
        (0, 5_000, False),
        (1_000, 9_000, True),
        (1_000, 4_000, False),
        (1_000, 5_000, False),
    ],
)
def test_empty_sparse_vectors_are_never_indexed_and_dense_ones_must_be(empty, indexed, ready):
    schema = {
        "params": {"vectors": {"size": 256, "distance": "Dot"}, "sparse_vectors": {"words": {}}},
        "optimizer_config": {"indexing_threshold": 100},
        "hnsw_config": {"m": 16},
    }
    health = Health("green", "ok", points=5_000, indexed_vectors=indexed, segments=2, optimizing=0)
    assert inspect_readiness(Store(empty), "docs", schema, health).ready is ready


def test_sparse_vectors_alone_are_indexed_as_they_are_written():
    schema = {"params": {"vectors": {}, "sparse_vectors": {"words": {}}}}
    assert inspect_readiness(Store(5_000), "docs", schema, Health("green", "ok", 5_000, 0, 2)).ready
    assert not inspect_readiness(
        Store(0), "docs", schema, Health("yellow", "ok", 5_000, 5_000, 2)
    ).ready
