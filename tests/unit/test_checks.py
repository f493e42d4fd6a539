"""Each check: one that passes, one that blocks, one that cannot tell."""

from collections.abc import Iterator
from typing import Any

import pytest

from adapters.qdrant_local import LocalStore
from core.checks import CHECKS
from core.checks.finding import Finding, GateContext
from core.gate import NO_QUERIES, examine, verdict
from core.index_file import IndexSpec
from core.ports import Hit, Point

SIZE = 4


@pytest.fixture
def store() -> Iterator[LocalStore]:
    made = LocalStore(":memory:")
    schema = {"params": {"vectors": {"size": SIZE, "distance": "Cosine"}}, "payload_schema": {}}
    indexed = {**schema, "payload_schema": {"lang": {"data_type": "keyword"}}}
    made.create("blue", indexed, {})
    made.create("green", schema, {})
    made.create("euclid", {**schema, "params": {"vectors": {"size": SIZE, "distance": "Euclid"}}}, {})
    made.upsert("green", [Point(number, [1.0, 0.0, 0.0, float(number)], {}) for number in range(3)])
    yield made
    made.close()


def gate(store: LocalStore, **changes: Any) -> GateContext:
    given: dict[str, Any] = {
        "store": store,
        "green": "green",
        "blue": None,
        "spec": IndexSpec(),
        "wanted": store.schema("green"),
        "vector": "",
        "embedder": None,
        "filled": {"expected": 3},
        "answers": {},
    }
    return GateContext(**{**given, **changes})


def hits(*scores: float) -> list[Hit]:
    return [Hit(number, score, {}) for number, score in enumerate(scores)]


class Model:
    """Only its dimension is asked for."""

    identity = "model"

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension


def found(name: str, context: GateContext) -> Finding:
    finding = CHECKS[name](context)
    assert finding.name == name
    return finding


def test_count_equal_to_the_sources_passes(store: LocalStore) -> None:
    assert found("count", gate(store)).verdict == "pass"


@pytest.mark.parametrize("expected", [2, 4])
def test_any_other_count_blocks(store: LocalStore, expected: int) -> None:
    finding = found("count", gate(store, filled={"expected": expected}))
    assert (finding.verdict, finding.value, finding.bound) == ("block", 3, expected)


def test_without_a_count_from_the_source_nobody_can_tell(store: LocalStore) -> None:
    assert found("count", gate(store, filled={})).verdict == "inconclusive"


def test_vectors_of_the_models_size_pass_and_others_block(store: LocalStore) -> None:
    assert found("vector_schema", gate(store, embedder=Model(SIZE))).verdict == "pass"
    assert found("vector_schema", gate(store, embedder=Model(SIZE + 1))).verdict == "block"
    assert found("vector_schema", gate(store, vector="dense", embedder=Model(SIZE))).verdict == "block"


def test_a_payload_index_of_blue_that_green_lacks_blocks(store: LocalStore) -> None:
    finding = found("payload_schema", gate(store, blue="blue"))
    assert finding.verdict == "block"
    assert "lang" in finding.detail
    assert found("payload_schema", gate(store, blue="blue", green="blue")).verdict == "pass"
    assert found("payload_schema", gate(store)).verdict == "pass"


def test_a_declared_payload_index_that_is_missing_blocks(store: LocalStore) -> None:
    spec = IndexSpec.model_validate({"collection": {"payload_indexes": {"lang": "keyword"}}})
    assert found("payload_schema", gate(store, spec=spec)).verdict == "block"


def test_min_results_is_inclusive_and_names_the_worst_query(store: LocalStore) -> None:
    spec = IndexSpec.model_validate({"validation": {"min_results": 2}})
    passing = found("min_results", gate(store, spec=spec, answers={"good": hits(1, 1, 1), "fair": hits(1, 1)}))
    assert (passing.verdict, passing.value, passing.n) == ("pass", 2, 2)
    blocking = found("min_results", gate(store, spec=spec, answers={"good": hits(1, 1), "poor": hits(1)}))
    assert blocking.verdict == "block"
    assert "poor" in blocking.detail
    assert found("min_results", gate(store)).verdict == "inconclusive"


def test_min_top_score_is_inclusive_within_float32(store: LocalStore) -> None:
    answers = {"good": hits(0.9), "fair": hits(0.699999988)}
    assert found("min_top_score", gate(store, answers=answers)).verdict == "pass"
    finding = found("min_top_score", gate(store, answers={**answers, "poor": hits(0.69)}))
    assert (finding.verdict, finding.value) == ("block", 0.69)
    assert "poor" in finding.detail


def test_a_query_that_finds_nothing_blocks(store: LocalStore) -> None:
    finding = found("min_top_score", gate(store, answers={"good": hits(0.9), "none": []}))
    assert (finding.verdict, finding.value) == ("block", None)


def test_a_lowest_score_means_nothing_where_smaller_is_better(store: LocalStore) -> None:
    assert found("min_top_score", gate(store, green="euclid", answers={"q": hits(3.0)})).verdict == "inconclusive"
    assert found("min_top_score", gate(store)).verdict == "inconclusive"


def finding_of(verdict: Any) -> Finding:
    return Finding("any", verdict, None, None, 0, "")


def test_the_worst_row_decides_and_no_row_decides_nothing() -> None:
    assert verdict([finding_of("pass"), finding_of("pass")]) == "pass"
    assert verdict([finding_of("pass"), finding_of("inconclusive")]) == "inconclusive"
    assert verdict([finding_of("inconclusive"), finding_of("block"), finding_of("pass")]) == "block"
    assert verdict([]) == "inconclusive"


def test_a_report_without_queries_warns(store: LocalStore) -> None:
    report = examine(
        store,
        "green",
        blue=None,
        spec=IndexSpec(),
        wanted=store.schema("green"),
        vector="",
        embedder=None,
        filled={"expected": 3},
    )
    assert report["warnings"] == [NO_QUERIES]
    assert report["verdict"] == "pass"
    assert "min_top_score" not in [row["name"] for row in report["checks"]]


def test_a_setting_that_is_not_as_wanted_blocks(store: LocalStore) -> None:
    finding = found("vector_schema", gate(store, wanted=store.schema("euclid")))
    assert finding.verdict == "block"
    assert "distance: wanted Euclid, found Cosine" in finding.detail
    assert found("vector_schema", gate(store, wanted=None)).verdict == "inconclusive"
