"""Each check: one that passes, one that blocks, one that is inconclusive; and how the gate combines
them."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.config.index_file import EmbeddingSpec, IndexSpec
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.finding import Finding
from qdrant_rollouts.core.gate.checks.floor import NO_QUERIES
from qdrant_rollouts.core.gate.evidence.context import (
    GateContext,
    JudgedQuery,
    LiveCollection,
    RateLimiter,
)
from qdrant_rollouts.core.gate.evidence.round_trip import FOREIGN
from qdrant_rollouts.core.gate.reasons import describe_reasons
from qdrant_rollouts.core.gate.verdict import (
    build_report,
    plan_checks,
    worst_verdict,
)
from qdrant_rollouts.core.ports import Capacity, Health, Point, Row
from qdrant_rollouts.core.statistics.sampling import offer_id

SIZE = 4
LIVE = LiveCollection("blue", "", None, same_model=True, same_texts=True)


@pytest.fixture
def store() -> Iterator[LocalStore]:
    made = LocalStore(":memory:")
    schema = {"params": {"vectors": {"size": SIZE, "distance": "Cosine"}}, "payload_schema": {}}
    indexed = {**schema, "payload_schema": {"lang": {"data_type": "keyword"}}}
    made.create("blue", indexed, {})
    made.create("green", schema, Stamp("d", "docs", 1).as_metadata())
    made.create("tagged", indexed, {})
    made.create(
        "euclid", {**schema, "params": {"vectors": {"size": SIZE, "distance": "Euclid"}}}, {}
    )
    made.upsert("green", [Point(number, [1.0, 0.0, 0.0, float(number)], {}) for number in range(3)])
    yield made
    made.close()


def gate(store: Any, **changes: Any) -> GateContext:
    given: dict[str, Any] = {"green": "green", "spec": IndexSpec(), "wanted": store.schema("green")}
    filled = Filling(**changes.pop("filled", {"expected": 3}))
    return GateContext(**{"store": store, **given, "filled": filled, **changes})


def spec(**validation: Any) -> IndexSpec:
    return IndexSpec.model_validate({"validation": validation})


def asked(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"asked": {"rows": list(rows), "complete": True}}


def found(name: str, context: GateContext, bound: float | None = None) -> Finding:
    return CHECKS[name].judge(context, CHECKS[name].bound_for(context) if bound is None else bound)


def busiest_second(moments: list[float]) -> int:
    return max(sum(first <= moment < first + 1 for moment in moments) for first in moments)


class Model:
    """Only its dimension and its name are asked for."""

    identity = "model"

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension


class Three:
    """A source of three records that notices when it is read."""

    collection = None
    was_read = False

    def fingerprint(self) -> str:
        return ""

    def read(self, cursor: Any) -> Iterator[Row]:
        self.was_read = True
        return iter([Row("", {"id": number}, {"n": number}) for number in range(3)])


# --- built as wanted ------------------------------------------------------------------------------


def test_count_equal_to_the_sources_passes(store: LocalStore) -> None:
    assert found("count", gate(store)).verdict == "pass"


@pytest.mark.parametrize("expected", [2, 4])
def test_any_other_count_blocks(store: LocalStore, expected: int) -> None:
    finding = found("count", gate(store, filled={"expected": expected}))
    assert (finding.verdict, finding.value, finding.bound) == ("block", 3, expected)


def test_without_a_count_from_the_source_nobody_can_tell(store: LocalStore) -> None:
    assert found("count", gate(store, filled={})).verdict == "inconclusive"


def test_a_collection_judged_by_itself_is_held_against_the_records_of_its_source(
    store: LocalStore,
) -> None:
    assert found("count", gate(store, filled={}, memory={"origin": {"rows": 3}})).verdict == "pass"
    assert found("count", gate(store, filled={}, memory={"origin": {"rows": 4}})).verdict == "block"


@pytest.mark.parametrize(
    ("rows", "bad", "changed", "expected"),
    [
        (3, 0, False, "pass"),
        (4, 0, False, "block"),
        (4, 1, False, "pass"),
        (5, 1, False, "block"),
        (4, 0, True, "pass"),
    ],
)
def test_records_that_were_never_read_block_unless_the_source_was_changed_since(
    store: LocalStore, rows: int, bad: int, changed: bool, expected: str
) -> None:
    """What populate counted is not what the source holds: a part of it was not seen."""
    memory = {
        "origin": {"rows": rows, "complete": True},
        "round_trip": {"changed": changed, "complete": True},
    }
    context = gate(store, filled={"expected": 3, "bad": bad}, source=Three(), memory=memory)
    assert found("count", context).verdict == expected


@pytest.mark.parametrize(("filled", "read"), [({"expected": 3}, False), ({}, True)])
def test_the_source_is_read_again_for_its_count_only_where_nobody_counted(
    store: LocalStore, filled: dict[str, Any], read: bool
) -> None:
    source = Three()
    context = gate(store, filled=filled, source=source, spec=spec(checks={"round_trip": False}))
    verdict.collect_evidence(context, lambda: False)
    rows = {row["name"]: row for row in build_report(context)["checks"]}
    assert (rows["count"]["verdict"], rows["count"]["bound"], source.was_read) == ("pass", 3, read)


def test_vectors_of_the_models_size_pass_and_others_block(store: LocalStore) -> None:
    assert found("vector_schema", gate(store, embedder=Model(SIZE))).verdict == "pass"
    assert found("vector_schema", gate(store, embedder=Model(SIZE + 1))).verdict == "block"
    assert (
        found("vector_schema", gate(store, vector="dense", embedder=Model(SIZE))).verdict == "block"
    )
    assert found("vector_schema", gate(store, wanted=None)).verdict == "inconclusive"


def test_another_distance_than_wanted_blocks(store: LocalStore) -> None:
    finding = found("vector_schema", gate(store, wanted=store.schema("euclid")))
    assert finding.verdict == "block"
    assert "distance: wanted Euclid, found Cosine" in finding.detail


def test_a_payload_index_of_blue_that_green_lacks_blocks(store: LocalStore) -> None:
    finding = found("payload_schema", gate(store, live=LIVE))
    assert finding.verdict == "block"
    assert "lang" in finding.detail
    assert found("payload_schema", gate(store, live=LIVE, green="tagged")).verdict == "pass"
    assert found("payload_schema", gate(store)).verdict == "pass"


def test_a_declared_payload_index_that_is_missing_blocks(store: LocalStore) -> None:
    declared = IndexSpec.model_validate({"collection": {"payload_indexes": {"lang": "keyword"}}})
    assert found("payload_schema", gate(store, spec=declared)).verdict == "block"


def test_a_stamp_of_another_model_blocks_and_none_cannot_tell(store: LocalStore) -> None:
    assert found("model_stamp", gate(store)).verdict == "pass"
    declared = {"": Maker(MadeBy("model", embedding=EmbeddingSpec(model="model")))}
    assert found("model_stamp", gate(store, makers=declared)).verdict == "block"
    assert found("model_stamp", gate(store, green="blue")).verdict == "inconclusive"


# --- every vector of every point ------------------------------------------------------------------


@pytest.fixture
def hybrid(store: LocalStore) -> LocalStore:
    """Ten points each; two of `hybrid_green` lack the second vector."""
    both = {name: {"size": SIZE, "distance": "Cosine"} for name in ("a", "b")}
    for collection, lacking in (("hybrid_blue", 0), ("hybrid_green", 2)):
        store.create(collection, {"params": {"vectors": both}, "payload_schema": {}}, {})
        vectors = [{"a": [1.0] * SIZE, "b": [1.0] * SIZE} for _ in range(10)]
        for vector in vectors[:lacking]:
            del vector["b"]
        store.upsert(
            collection, [Point(number, vector, {}) for number, vector in enumerate(vectors)]
        )
    return store


HYBRID_LIVE = LiveCollection("hybrid_blue", "a", None, same_model=True, same_texts=True)


def present(store: Any, **changes: Any) -> Finding:
    return found("vector_presence", gate(store, green="hybrid_green", **changes))


def test_a_vector_on_fewer_points_than_were_written_blocks(hybrid: LocalStore) -> None:
    written = {"by_vector": {"a": {"points": 10}, "b": {"points": 10}}}
    finding = present(hybrid, filled=written)
    assert finding.verdict == "block"
    assert "b on 8 points, 10 were written" in finding.detail


def test_a_vector_on_fewer_points_than_on_live_blocks(hybrid: LocalStore) -> None:
    finding = present(hybrid, live=HYBRID_LIVE)
    assert finding.verdict == "block"
    assert "b on 8 points, live has it on 10" in finding.detail


@pytest.mark.parametrize(
    "plan", [VectorPlan(optional=frozenset("b")), VectorPlan(dropped=frozenset("b"))]
)
def test_a_vector_that_may_be_missing_or_is_dropped_passes(
    hybrid: LocalStore, plan: VectorPlan
) -> None:
    assert present(hybrid, live=HYBRID_LIVE, plan=plan).verdict == "pass"


@pytest.mark.parametrize(
    ("kept", "expected"), [(5, "pass"), (1, "inconclusive"), (0, "inconclusive")]
)
def test_an_optional_vector_that_is_nearly_gone_at_once_waits_for_a_person(
    hybrid: LocalStore, kept: int, expected: str
) -> None:
    hybrid.upsert("hybrid_green", [Point(n, {"a": [1.0] * SIZE}, {}) for n in range(kept, 10)])
    hybrid.upsert(
        "hybrid_green", [Point(n, {"a": [1.0] * SIZE, "b": [1.0] * SIZE}, {}) for n in range(kept)]
    )
    finding = present(hybrid, live=HYBRID_LIVE, plan=VectorPlan(optional=frozenset("b")))
    assert finding.verdict == expected, finding


def test_a_carried_vector_may_be_missing_where_the_index_file_lets_it(hybrid: LocalStore) -> None:
    filled = {"by_vector": {"a": {"points": 10}, "b": {"points": 8, "not_carried": 2}}}
    plan = VectorPlan(carried={"b": "drop"})
    assert present(hybrid, live=HYBRID_LIVE, plan=plan, filled=filled).verdict == "pass"


def test_vectors_may_go_with_the_points_that_left(hybrid: LocalStore) -> None:
    hybrid.upsert(
        "hybrid_blue",
        [Point(n, {"a": [1.0] * SIZE, "b": [1.0] * SIZE}, {}) for n in range(10, 12)],
    )
    written = {"by_vector": {"a": {"points": 10}, "b": {"points": 8}}}
    blocked = present(hybrid, live=HYBRID_LIVE, filled=written)
    assert blocked.verdict == "block"  # two left, four are missing
    hybrid.upsert(
        "hybrid_green", [Point(n, {"a": [1.0] * SIZE, "b": [1.0] * SIZE}, {}) for n in (0, 1)]
    )
    whole = {"by_vector": {"a": {"points": 10}, "b": {"points": 10}}}
    assert present(hybrid, live=HYBRID_LIVE, filled=whole).verdict == "pass"


def test_without_live_and_without_counts_nobody_can_tell_how_many_vectors_there_should_be(
    hybrid: LocalStore,
) -> None:
    assert present(hybrid, filled={}).verdict == "inconclusive"


# --- what is stored -------------------------------------------------------------------------------


def test_one_record_that_is_stored_otherwise_blocks(store: LocalStore) -> None:
    whole = {"checked": 300}
    broken = {"checked": 300, "faults": {"another vector": 1}, "examples": ["7 (another vector)"]}
    assert found("round_trip", gate(store, memory={"round_trip": whole})).verdict == "pass"
    finding = found("round_trip", gate(store, memory={"round_trip": broken}))
    assert finding.verdict == "block"
    assert "7 (another vector)" in finding.detail


def test_a_source_that_changed_meanwhile_excuses_differences_but_proves_nothing(
    store: LocalStore,
) -> None:
    memory = {
        "checked": 300,
        "faults": {"missing": 20},
        "examples": ["7 (missing)"],
        "changed": True,
    }
    assert found("round_trip", gate(store, memory={"round_trip": memory})).verdict == "inconclusive"
    assert found("round_trip", gate(store)).verdict == "inconclusive"


def test_a_source_that_moved_on_too_far_shows_a_stale_copy(store: LocalStore) -> None:
    stale = {
        "checked": 300,
        "faults": {"missing": 50},
        "examples": ["7 (missing)"],
        "changed": True,
    }
    finding = found("round_trip", gate(store, memory={"round_trip": stale}))
    assert finding.verdict == "block"
    assert "made of an older source" in finding.detail
    assert (
        found("round_trip", gate(store, memory={"round_trip": stale}), 0.2).verdict
        == "inconclusive"
    )


@pytest.mark.parametrize("fault", ["not finite", "zero"])
def test_a_single_vector_that_points_nowhere_blocks(store: LocalStore, fault: str) -> None:
    memory = {"vectors": {"seen": 1000, fault: 1, "examples": [f"9 ({fault})"]}, **asked()}
    finding = found("vector_sanity", gate(store, memory=memory))
    assert (finding.verdict, finding.value) == ("block", 1)


def shared(unlike: int, of: int = 300) -> dict[str, Any]:
    """So many of the points that were looked at share their vector with another text."""
    pair = [1, 2, "one text", "another text"]
    counts = {"looked": unlike, "unlike": unlike, "examples": [pair]} if unlike else {}
    groups = {"": {"of": of, "equal": unlike, "largest": 1, "some": []}}
    return {"vectors": {"seen": of, "equal": groups}, "twins": {"": counts}}


@pytest.mark.parametrize(
    ("unlike", "of", "expected"),
    [
        (0, 300, "pass"),
        (6, 300, "pass"),
        (7, 300, "block"),
        (2, 40, "pass"),
        (3, 40, "block"),
        (2, 2, "block"),
    ],
)
def test_too_many_texts_that_share_a_vector_block(
    store: LocalStore, unlike: int, of: int, expected: str
) -> None:
    finding = found("twins", gate(store, memory=shared(unlike, of)))
    assert (finding.verdict, finding.n) == (expected, of)


def test_vectors_that_nobody_compared_prove_nothing(store: LocalStore) -> None:
    assert found("twins", gate(store, memory={"vectors": {"equal": {}}})).verdict == "inconclusive"
    with pytest.raises(Refused, match="another release"):
        found("twins", gate(store, memory={"vectors": {"seen": 300}}))


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        ({"same": 300}, "pass"),
        (
            {"same": 300, "wrong": 1, "faults": {"": {"another vector": 1}}, "examples": ["7"]},
            "block",
        ),
        ({"same": 0, "common": 300, "changed": 300}, "pass"),
        (
            {
                "same": 0,
                "common": 300,
                "changed": 300,
                "sought": 60,
                "moved": [*range(60)],
                "moves": ["7"],
            },
            "block",
        ),
        (
            {
                "same": 290,
                "common": 300,
                "changed": 10,
                "sought": 10,
                "moved": [*range(10)],
                "moves": ["7"],
            },
            "pass",
        ),
        ({"same": 300, "loose": {"image": {"of": 300, "other": 300}}}, "block"),
        ({"same": 300, "loose": {"image": {"of": 300, "other": 15}}}, "pass"),
        ({"same": 300, "payloads": 300, "fields": {"price": 300}}, "inconclusive"),
        ({"same": 300, "payloads": 15, "fields": {"price": 15}}, "pass"),
    ],
)
def test_what_did_not_change_must_be_what_it_was(
    store: LocalStore, memory: dict[str, Any], expected: str
) -> None:
    compared = {"unchanged": {"names": {"": ""}, **memory}}
    assert found("unchanged", gate(store, live=LIVE, memory=compared)).verdict == expected


def test_a_payload_that_the_source_has_so_is_told_and_stops_nobody(store: LocalStore) -> None:
    memory = {"unchanged": {"names": {}, "same": 300, "payloads": 300, "fields": {"price": 300}}}
    finding = found("unchanged", gate(store, live=LIVE, source=Three(), memory=memory))
    assert (finding.verdict, "as the source has it" in finding.found) == ("pass", True)


def test_texts_that_became_one_hold_up_and_no_text_at_all_does_not(store: LocalStore) -> None:
    said = {"green": ["a"] * 290 + [f"{n}" for n in range(10)], "repeated": {"a": "Please sign in"}}
    finding = found("collapse", gate(store, memory={"texts": said}))
    assert (finding.verdict, finding.bound) == ("inconclusive", 0.5)
    assert "290 of 300 records say the same: 'Please sign in'" in finding.found
    assert (
        found(
            "collapse", gate(store, memory={"texts": {"green": [f"{n}" for n in range(300)]}})
        ).verdict
        == "pass"
    )
    assert found("collapse", gate(store, memory={"texts": {}})).verdict == "pass"
    assert (
        found("collapse", gate(store, green="tagged", memory={"texts": {}})).verdict
        == "inconclusive"
    )


def small(store: LocalStore, points: int) -> GateContext:
    """Beside live; every record of both says something else."""
    for name in ("tagged", "blue"):
        store.upsert(name, [Point(n, [1.0, 0, 0, 0], {}) for n in range(points)])
    said = {"green": ["a", "b"] * 20, "live": ["c", "d"] * 20, "common": 40, "changed": 40}
    return gate(store, green="tagged", live=LIVE, memory={"texts": said})


def test_a_small_index_may_be_written_anew_at_once(store: LocalStore) -> None:
    assert found("collapse", small(store, 29)).verdict == "pass"
    assert found("collapse", small(store, 30)).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("overlap", "expected"), [(0.95, "pass"), (0.6, "pass"), (0.3, "inconclusive")]
)
def test_answers_must_stay_as_far_as_unchanged_records_allow(
    store: LocalStore, overlap: float, expected: str
) -> None:
    """Nine in ten are unchanged."""
    context = small(store, 40)
    texts = {
        "green": [str(n) for n in range(40)],
        "live": [str(n) for n in range(40)],
        "common": 40,
        "changed": 4,
    }
    context.memory.update({"texts": texts, **asked(*beside(40, rbo=overlap))})
    finding = found("collapse", context)
    assert (finding.verdict, "unchanged records allow 0.90" in finding.found) == (
        expected,
        expected != "pass",
    )


def test_what_the_declared_model_does_not_make_is_excused_by_no_change_of_the_source(
    store: LocalStore,
) -> None:
    faults = {
        "checked": 300,
        "faults": {FOREIGN: 1},
        "examples": [f"7 ({FOREIGN})"],
        "changed": True,
    }
    assert found("round_trip", gate(store, memory={"round_trip": faults})).verdict == "block"


# --- searching ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "expected"), [(0, "pass"), (3, "pass"), (5, "inconclusive"), (30, "block")]
)
def test_self_retrieval_blocks_only_beyond_chance(
    store: LocalStore, lost: int, expected: str
) -> None:
    rows = [{"name": str(n), "self": n >= lost} for n in range(300)]
    assert found("self_retrieval", gate(store, memory=asked(*rows))).verdict == expected


def test_recall_passes_where_the_whole_interval_does(store: LocalStore) -> None:
    def judged(*recalls: float) -> str:
        return found(
            "ann_recall@10", gate(store, memory=asked(*({"recall": one} for one in recalls)))
        ).verdict

    assert judged(*[1.0] * 300) == "pass"
    assert judged(*[0.6] * 150, *[0.8] * 150) == "block"
    assert judged(*[1.0] * 5, *[0.7] * 2) == "inconclusive"
    assert judged() == "inconclusive"


def test_an_index_that_finds_as_much_as_live_is_not_stopped_by_our_own_bound(
    store: LocalStore,
) -> None:
    memory = {
        **asked(*({"recall": 0.8} for _ in range(300))),
        "attributed": {"rows": [{"live_recall": 0.8}]},
    }
    assert found("ann_recall@10", gate(store, memory=memory)).verdict == "pass"
    strict = spec(checks={"ann_recall@10": 0.95})
    assert found("ann_recall@10", gate(store, memory=memory, spec=strict)).verdict == "block"


class Quantizing:
    """A server, and a small collection of quantized vectors on it."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def server(self) -> Any:
        return replace(self._store.server(), embedded=False)

    def health(self, collection: str) -> Health:
        return replace(self._store.health(collection), indexed_vectors=0)

    def schema(self, collection: str) -> Any:
        return {
            **self._store.schema(collection),
            "quantization_config": {"binary": {"always_ram": True}},
        }


def test_quantized_vectors_are_never_searched_exactly_however_few_they_are(
    store: LocalStore,
) -> None:
    memory = asked(*({"recall": 0.2} for _ in range(30)))
    finding = found("ann_recall@10", gate(Quantizing(store), memory=memory))
    assert (finding.verdict, "exact by size" in finding.detail) == ("block", False)
    assert "exact by size" in found("ann_recall@10", gate(store, memory=memory)).detail


def test_queries_that_come_back_empty_only_here_block(store: LocalStore) -> None:
    full = {"name": "q", "n": 10, "live": {"n": 10}}
    empty = {"name": "e", "n": 0, "live": {"n": 10}}
    assert found("zero_result", gate(store, memory=asked(*[full] * 300))).verdict == "pass"
    assert (
        found("zero_result", gate(store, memory=asked(*[full] * 290, *[empty] * 10))).verdict
        == "block"
    )
    assert (
        found("zero_result", gate(store, memory=asked(*[full] * 98, *[empty] * 2))).verdict
        == "inconclusive"
    )
    assert (
        found("zero_result", gate(store, memory=asked({**empty, "live": {"n": 0}}))).verdict
        == "pass"
    )


# --- the floor ------------------------------------------------------------------------------------


def answers(**tops: float) -> dict[str, Any]:
    return asked(*({"name": name, "text": True, "n": 5, "top": top} for name, top in tops.items()))


def test_min_results_is_inclusive_and_names_the_worst_query(store: LocalStore) -> None:
    rows = asked({"name": "good", "text": True, "n": 3}, {"name": "poor", "text": True, "n": 1})
    context = gate(store, spec=spec(queries=["good", "poor"]), memory=rows)
    assert found("min_results", context, 1).verdict == "pass"
    finding = found("min_results", context, 2)
    assert (finding.verdict, finding.value, finding.n) == ("block", 1, 2)
    assert "poor" in finding.detail
    assert found("min_results", gate(store), 5).verdict == "inconclusive"


def test_min_top_score_is_inclusive_within_float32(store: LocalStore) -> None:
    questions = spec(queries=["good", "fair"])
    context = gate(store, spec=questions, memory=answers(good=0.9, fair=0.699999988))
    assert found("min_top_score", context, 0.7).verdict == "pass"
    finding = found(
        "min_top_score", gate(store, spec=questions, memory=answers(good=0.9, fair=0.69)), 0.7
    )
    assert finding.verdict == "block"
    assert "fair" in finding.detail


def test_a_floor_means_nothing_where_scores_fall_as_results_get_better(store: LocalStore) -> None:
    context = gate(store, spec=spec(queries=["good"]), memory=answers(good=0.9), green="euclid")
    assert found("min_top_score", context, 0.7).verdict == "inconclusive"


def calibrated(tops: list[float], own: int = 50, own_under: int = 0, **more: Any) -> dict[str, Any]:
    """Queries with these best scores, beside a floor of 0.4 that so many records' own beginnings do
    not reach."""
    rows = [
        {"name": f"q{n}", "text": True, "n": 5, "top": top, **more} for n, top in enumerate(tops)
    ]
    floor = {"floor": 0.4, "q50": 0.1, "q99": 0.3, "n": 9000, "of": "texts and unrelated documents"}
    return {
        **asked(*rows),
        "calibrated": {**floor, "own": own, "own_under": own_under, "complete": True},
    }


def floor_of(store: LocalStore, memory: dict[str, Any], **changes: Any) -> Finding:
    named = spec(queries=[row["name"] for row in memory["asked"]["rows"]] or ["none"])
    return CHECKS["min_top_score"].judge(gate(store, spec=named, memory=memory, **changes), None)


def test_the_calibrated_floor_is_the_default_and_a_share_of_queries_not_the_worst_decides(
    store: LocalStore,
) -> None:
    assert plan_checks(gate(store, spec=spec(queries=["good"])))[-1].name != "min_top_score"
    finding = floor_of(store, calibrated([0.9] * 8 + [0.1] * 2))
    assert (finding.verdict, finding.value, finding.bound) == ("pass", 0.2, 0.8)
    assert [one["query"] for one in finding.facts["under"]] == ["q8", "q9"]
    assert finding.facts["interval"] == pytest.approx([0.0686, 0.4592], abs=0.001)


@pytest.mark.parametrize(
    ("tops", "own_under", "expected"),
    [
        ([0.1] * 2, 50, "block"),  # not even records are found by their own beginning
        ([0.9] * 2, 50, "block"),
        ([0.9] * 2, 42, "inconclusive"),
        ([0.1] * 2, 0, "pass"),  # two queries prove nothing, where the records are told apart
        ([0.1] * 30, 0, "inconclusive"),
        ([0.1] * 30, 20, "pass"),  # a weak model, whose scores are low by nature
    ],
)
def test_scores_that_mean_nothing_block_and_queries_without_an_answer_cannot_be_told(
    store: LocalStore, tops: list[float], own_under: int, expected: str
) -> None:
    assert floor_of(store, calibrated(tops, own_under=own_under)).verdict == expected


@pytest.mark.parametrize(("top", "expected"), [(0.9, "block"), (0.1, "pass")])
def test_queries_that_live_answered_better_block_and_those_that_nobody_answers_pass(
    store: LocalStore, top: float, expected: str
) -> None:
    memory = calibrated([0.1] * 30, live={"n": 5, "top": top})
    assert floor_of(store, memory, live=LIVE).verdict == expected


def test_where_no_floor_can_be_the_row_is_shown_and_holds_nothing_up(store: LocalStore) -> None:
    memory = {**answers(good=0.1), "calibrated": {"pairs": 12, "complete": True}}
    finding = floor_of(store, memory)
    assert (finding.verdict, finding.only_shown, finding.value) == ("pass", True, None)
    assert "too few or too much alike" in finding.found


def test_a_number_is_a_floor_as_it_stands_for_every_query(store: LocalStore) -> None:
    memory = calibrated([0.9, 0.69])
    fixed = gate(store, spec=spec(queries=["q0", "q1"], min_top_score=0.7), memory=memory)
    assert {one.name: one.bound for one in plan_checks(fixed)}["min_top_score"] == 0.7
    finding = found("min_top_score", fixed)
    assert (finding.verdict, finding.value) == ("block", 0.69)
    assert found("score_floor", fixed, 0.7).verdict == "block"
    assert "9,000 pairs" in found("score_floor", fixed, 0.4).detail


def test_titles_that_no_record_has_are_missing_evidence_and_said_so(store: LocalStore) -> None:
    context = gate(
        store, spec=spec(queries="titles"), memory={**calibrated([]), "titles": {"texts": []}}
    )
    finding = CHECKS["min_top_score"].judge(context, None)
    assert (finding.verdict, "title, name or heading" in finding.detail) == ("inconclusive", True)


# --- beside live ----------------------------------------------------------------------------------


def beside(count: int, **live: Any) -> list[dict[str, Any]]:
    return [
        {"name": str(n), "n": 10, "top": 0.9, "tenth": 0.5, "live": {"n": 10, **live}}
        for n in range(count)
    ]


def test_what_differs_from_live_is_shown_and_stops_nothing_without_a_bound(
    store: LocalStore,
) -> None:
    rows = beside(300, rbo=0.2, overlap=0.2, top=0.1, tenth=0.1)
    context = gate(store, live=LIVE, memory=asked(*rows))
    assert CHECKS["overlap"].judge(context, None).verdict == "pass"
    assert found("overlap", context, 0.8).verdict == "block"
    assert CHECKS["score_shift"].judge(context, None).verdict == "pass"
    assert found("score_shift", context, 0.2).verdict == "block"
    assert found("overlap", gate(store), 0.8).verdict == "inconclusive"


@pytest.mark.parametrize("place", ["top", "tenth"])
def test_a_score_that_is_no_number_shows_no_shift(store: LocalStore, place: str) -> None:
    rows = [
        *beside(299, top=0.9, tenth=0.5),
        *beside(1, **{"top": 0.9, "tenth": 0.5, place: math.nan}),
    ]
    finding = found("score_shift", gate(store, live=LIVE, memory=asked(*rows)), 0.2)
    assert (finding.verdict, finding.value) == ("inconclusive", None)


def test_a_slower_collection_blocks_where_a_bound_is_given(store: LocalStore) -> None:
    rng = np.random.default_rng(1)
    live = (2 + rng.random(300)).tolist()
    same = gate(store, live=LIVE, memory={"timed": {"green": live, "live": live}})
    slow = gate(
        store, live=LIVE, memory={"timed": {"green": [2 * one for one in live], "live": live}}
    )
    for name in ("latency_p50", "latency_p95"):
        assert found(name, same, 1.2).verdict == "pass"
        assert found(name, slow, 1.2).verdict == "block"
        assert found(name, gate(store), 1.2).verdict == "inconclusive"


def test_less_than_half_of_live_holds_up_even_without_a_bound(store: LocalStore) -> None:
    def compared(count: int, **checks: float) -> str:
        store.upsert("blue", [Point(n, [1.0, 0, 0, 0], {}) for n in range(count)])
        context = gate(store, live=LIVE, spec=spec(checks={"count_vs_live": True} | checks))
        rows = [
            one for one in plan_checks(context) if one.name in {"payload_schema", "count_vs_live"}
        ]
        return worst_verdict(
            rows, [Finding("pass", 0, 1, ""), CHECKS["count_vs_live"].judge(context, rows[1].bound)]
        )

    assert compared(4) == "pass"
    assert compared(4, count_vs_live=0.01) == "block"
    assert compared(7) == "inconclusive"
    assert compared(7, count_vs_live=0.6) == "pass"


def test_a_value_that_lost_its_points_blocks_where_a_bound_is_given(store: LocalStore) -> None:
    store.upsert(
        "blue", [Point(n, [1.0, 0, 0, 0], {"lang": "de" if n < 4 else "en"}) for n in range(8)]
    )
    store.upsert("tagged", [Point(n, [1.0, 0, 0, 0], {"lang": "en"}) for n in range(8)])
    context = gate(store, green="tagged", live=LIVE, spec=spec(slices=["lang"]))
    assert found("slices", context, 0.5).verdict == "block"
    assert "lang=de has lost 100 %" in found("slices", context, 0.5).detail.replace("100%", "100 %")
    assert CHECKS["slices"].judge(context, None).verdict == "pass"
    assert found("slices", gate(store), 0.5).verdict == "inconclusive"


# --- judged ---------------------------------------------------------------------------------------


def judged(count: int, here: float, on_live: float, holes: float = 0.0) -> dict[str, Any]:
    def measures(ndcg: float) -> dict[str, float]:
        return {"ndcg@10": ndcg, "mrr@10": ndcg, "recall@100": ndcg, "holes@10": holes}

    row = {
        "n": 10,
        "judged": measures(here),
        "live": {"n": 10, "judged": {**measures(on_live), "holes@10": 0.0}},
    }
    return asked(*({"name": f"q{n}", **row} for n in range(count)))


def beside_live(store: LocalStore, memory: dict[str, Any], **changes: Any) -> GateContext:
    """A gate with as many judged queries as there are rows, or more."""
    known = tuple(
        JudgedQuery(f"q{n}", {n: 1.0}) for n in range(max(60, len(memory["asked"]["rows"])))
    )
    return gate(store, **{"live": LIVE, "judged": known, "memory": memory, **changes})


def test_judged_quality_blocks_what_is_worse_and_passes_what_is_not(store: LocalStore) -> None:
    def compared(memory: dict[str, Any]) -> str:
        return found("judged_quality", beside_live(store, memory)).verdict

    assert compared(judged(60, 0.8, 0.8)) == "pass"
    assert compared(judged(60, 0.6, 0.8)) == "block"
    assert compared(judged(60, 0.6, 0.8, holes=0.5)) == "inconclusive"
    assert found("judged_quality", gate(store, live=LIVE)).verdict == "inconclusive"


def test_fewer_judged_queries_than_decide_are_shown_said_first_and_hold_nothing_up(
    store: LocalStore,
) -> None:
    memory = judged(49, 0.3, 0.8, holes=0.5)
    few = tuple(JudgedQuery(f"q{n}", {n: 1.0}) for n in range(49))
    context = beside_live(
        store, memory, judged=few, spec=spec(checks={"overlap": False, "score_shift": False})
    )
    for name in ("judged_quality", "regressions", "holes@10"):
        finding = found(name, context)
        assert finding.only_shown, name
        rows = [one for one in plan_checks(context) if one.name in {name, "ready"}]
        assert (
            worst_verdict(
                sorted(rows, key=lambda one: one.name == name), [Finding("pass", 0, 1, ""), finding]
            )
            == "pass"
        )
    memory |= {name: {"complete": True} for name in ("vectors", "titles", "origin")}
    made = build_report(context)
    assert (
        next(row for row in made["checks"] if row["name"] == "judged_quality")["level"] == "shown"
    )
    assert any(
        said.startswith("49 judged queries are fewer than the 50 that decide")
        for said in made["unchecked"]
    )
    assert "49 of 49 judged queries got clearly worse" in found("judged_quality", context).found


def test_judged_queries_that_were_not_asked_on_live_are_missing_evidence(store: LocalStore) -> None:
    memory = judged(60, 0.8, 0.8)
    for row in memory["asked"]["rows"][:20]:
        del row["live"]
    assert found("judged_quality", beside_live(store, memory)).verdict == "inconclusive"


def changed(count: int, of: int, to: float) -> dict[str, Any]:
    """So many of the judged queries fell to that, from 1."""
    memory = judged(of, 1.0, 1.0)
    for row in memory["asked"]["rows"][:count]:
        row["judged"] = {**row["judged"], "ndcg@10": to, "mrr@10": to}
    return memory


@pytest.mark.parametrize(
    ("lost", "same", "expected"),
    [(2, True, "pass"), (2, False, "inconclusive"), (12, True, "block"), (12, False, "block")],
)
def test_a_few_queries_lost_stop_another_model_and_not_a_rebuild_of_the_same(
    store: LocalStore, lost: int, same: bool, expected: str
) -> None:
    live = LiveCollection("blue", "", None, same_model=same, same_texts=True)
    assert (
        found("judged_quality", beside_live(store, changed(lost, 60, 0.5), live=live)).verdict
        == expected
    )


def test_the_index_files_own_bound_is_meant_as_it_stands(store: LocalStore) -> None:
    strict = spec(checks={"judged_quality": -0.01})
    context = beside_live(store, changed(2, 60, 0.5), spec=strict)
    assert found("judged_quality", context, -0.01).verdict == "inconclusive"


def test_records_that_nobody_knows_to_have_left_are_told_and_many_of_them_cannot_be_told(
    store: LocalStore,
) -> None:
    def compared(gone: int) -> Finding:
        memory = judged(60, 0.9, 0.9)
        for row in memory["asked"]["rows"][:gone]:
            row |= {"if_lost": -0.9, "records": {"gone": [row["name"]]}}
        return found("judged_quality", beside_live(store, memory))

    assert (compared(1).verdict, compared(20).verdict) == ("pass", "inconclusive")
    assert "on live alone, and no source says whether they left: 20" in compared(20).found


def test_what_was_left_out_and_what_is_new_stands_in_the_row_in_full(store: LocalStore) -> None:
    memory = judged(60, 0.8, 0.8)
    fresh = {
        "name": "q60",
        "n": 10,
        "new": {"ndcg@10": 0.7},
        "records": {"new": ["n"]},
        "live": {"n": 10},
    }
    typo = {"name": "q61", "n": 10, "records": {"unknown": ["cvs.reader"]}, "live": {"n": 10}}
    memory["asked"]["rows"] += [fresh, typo]
    context = beside_live(store, memory)
    finding = found("judged_quality", context)
    assert finding.n == 60
    assert finding.facts["new"] == [{"query": "q60", "ndcg@10": 0.7}]
    assert {"query": "q61", "unknown": ["cvs.reader"]} in finding.facts["left_out"]
    assert any(
        "no record has these ids of validation.judged: 'cvs.reader'" in said
        for said in build_report(context)["warnings"]
    )


def test_regressions_and_holes_hold_up_but_never_block(store: LocalStore) -> None:
    context = beside_live(store, judged(60, 0.3, 0.8, holes=0.5))
    assert found("regressions", context).verdict == "inconclusive"
    assert found("holes@10", context).verdict == "inconclusive"
    assert found("regressions", beside_live(store, judged(60, 0.8, 0.8))).verdict == "pass"
    assert (
        found("regressions", beside_live(store, changed(4, 60, 0.5))).verdict == "pass"
    )  # chance explains four
    assert (
        len(found("regressions", beside_live(store, changed(30, 60, 0.5))).facts["regressed"]) == 30
    )


# --- the server -----------------------------------------------------------------------------------


class Full:
    def capacity(self) -> Capacity:
        return Capacity(memory=100, memory_used=95)


def test_a_server_without_room_blocks_and_one_that_does_not_tell_is_not_asked(
    store: LocalStore,
) -> None:
    crowded = GateContext(Full(), "green", IndexSpec())  # type: ignore[arg-type]  # it is asked for nothing else
    assert CHECKS["capacity"].judge(crowded, 0.9).verdict == "block"
    assert CHECKS["capacity"].judge(crowded, 0.96).verdict == "pass"
    assert found("capacity", gate(store)).verdict == "inconclusive"
    assert "capacity" not in {one.name for one in plan_checks(gate(store))}


def test_an_index_that_gets_nowhere_blocks_and_one_at_work_cannot_tell(store: LocalStore) -> None:
    assert found("ready", gate(store, memory={"ready": {"looks": 3}})).verdict == "pass"
    stuck = {"looks": 0, "still": 24, "reason": "0 of 9 vectors indexed"}
    assert found("ready", gate(store, memory={"ready": stuck})).verdict == "block"
    assert (
        found("ready", gate(store, memory={"ready": {"looks": 0, "reason": "yellow"}})).verdict
        == "inconclusive"
    )


# --- the gate as a whole --------------------------------------------------------------------------


def test_without_queries_the_floor_is_not_planned_and_the_report_says_so_first(
    store: LocalStore,
) -> None:
    made = build_report(gate(store))
    assert made["warnings"][0] == NO_QUERIES
    assert not {"min_results", "min_top_score", "score_floor"} & {
        row["name"] for row in made["checks"]
    }


def test_the_default_plan_asks_for_nothing_the_user_would_have_to_give(store: LocalStore) -> None:
    planned = {one.name for one in plan_checks(gate(store))}
    assert planned == {
        "ready", "count", "vector_schema", "payload_schema", "model_stamp", "vector_sanity",
        "twins",
        "collapse", "self_retrieval", "ann_recall@10", "zero_result",
    }  # fmt: skip


def test_evidence_that_was_not_taken_is_never_a_pass(store: LocalStore) -> None:
    made = build_report(gate(store))
    assert made["verdict"] == "inconclusive"
    rows = {row["name"]: row for row in made["checks"]}
    assert rows["ann_recall@10"]["verdict"] == "inconclusive"
    assert "time budget" in rows["ann_recall@10"]["detail"]


def test_a_planned_check_without_its_input_cannot_tell(store: LocalStore) -> None:
    wanted = gate(store, spec=spec(checks={"judged_quality": True, "overlap": 0.8}))
    verdict.collect_evidence(wanted, lambda: False)
    rows = {row["name"]: row["verdict"] for row in build_report(wanted)["checks"]}
    assert (rows["judged_quality"], rows["overlap"]) == ("inconclusive", "inconclusive")


def test_what_the_index_file_accepts_does_not_hold_up_but_is_told(store: LocalStore) -> None:
    accepting = spec(checks={"model_stamp": {"accept_inconclusive": True}})
    context = gate(store, green="blue", wanted=store.schema("blue"), spec=accepting)
    row = next(one for one in plan_checks(context) if one.name == "model_stamp")
    assert worst_verdict([row], [CHECKS["model_stamp"].judge(context, None)]) == "pass"
    assert any("model_stamp cannot tell" in said for said in build_report(context)["warnings"])


def test_a_check_can_be_left_out(store: LocalStore) -> None:
    assert "count" not in {
        one.name for one in plan_checks(gate(store, spec=spec(checks={"count": False})))
    }


def test_nothing_planned_proves_nothing() -> None:
    assert worst_verdict([], []) == "inconclusive"


def test_the_reasons_name_value_bound_and_evidence(store: LocalStore) -> None:
    made = build_report(gate(store, filled={"expected": 4}, memory={"origin": {"complete": True}}))
    assert made["verdict"] == "block"
    assert "count 3 against 4" in describe_reasons(made)


def test_the_reasons_say_which_of_index_data_and_model_lost_it() -> None:
    found = {"measure": "nDCG@10", "n": 50, "lost": {"index": 0.3, "data": 0.01}, "cause": "index"}
    row = {
        "name": "judged_quality",
        "value": -0.3,
        "bound": -0.01,
        "n": 50,
        "verdict": "block",
        "level": "hard",
    }
    said = describe_reasons({"checks": [{**row, "detail": "less"}], "attribution": found})
    assert said.endswith("most was lost because of the index (nDCG@10: index +0.300, data +0.010)")


def test_a_sample_is_the_same_in_any_order_and_another_with_another_seed() -> None:
    def drawn(ids: list[int], seed: int) -> list[int]:
        sample: list[list[Any]] = []
        for id in ids:
            offer_id(sample, 10, seed, id)
        return [entry[1] for entry in sample]

    ids = list(range(1000))
    assert drawn(ids, 7) == drawn(ids[::-1], 7) == drawn(ids + ids, 7)
    assert drawn(ids, 7) != drawn(ids, 8)


@pytest.mark.parametrize("rate", [1, 40, 195.5])
def test_no_second_sees_more_searches_than_allowed(rate: float) -> None:
    """Batches of every size, and a new pace now and then as in a new turn; singles are what a timed
    search is."""
    pace = RateLimiter(rate)
    sent = []
    ends = time.monotonic() + 2.5
    while time.monotonic() < ends:
        if len(sent) % 7 == 6:
            pace = RateLimiter(rate)
        searches = 1 + len(sent) % pace.most
        pace.wait(searches)
        sent += [time.monotonic()] * searches
    assert busiest_second(sent) <= rate
    assert len(sent) >= rate / 2  # and it is no standstill either


def test_judged_queries_have_a_deep_search_of_their_own_and_each_text_is_asked_once(
    store: LocalStore,
) -> None:
    from qdrant_rollouts.core.gate.evidence.probes import list_probes

    context = gate(
        store,
        embedder=Model(SIZE),
        spec=spec(queries=["a", "b"]),
        judged=(JudgedQuery("b", {1: 1.0}),),
    )
    assert [(probe.text, probe.deep) for probe in list_probes(context)] == [("a", 0), ("b", 100)]


@pytest.mark.parametrize("said", [{"min_results": 20}, {"checks": {"min_results": 20}}])
def test_as_many_results_are_asked_for_as_must_be_there(
    store: LocalStore, said: dict[str, Any]
) -> None:
    from qdrant_rollouts.core.gate.evidence.probes import list_probes

    context = gate(store, embedder=Model(SIZE), spec=spec(queries=["a"], **said))
    assert [probe.deep for probe in list_probes(context)] == [20]


def test_single_queries_lost_by_another_model_hold_up_only_by_the_index_files_bound(
    store: LocalStore,
) -> None:
    other = LiveCollection("blue", "", None, same_model=False, same_texts=True)
    memory = judged(60, 0.3, 0.8)
    assert found("regressions", beside_live(store, memory, live=other)).verdict == "pass"
    strict = spec(checks={"regressions": 0.05})
    assert (
        found("regressions", beside_live(store, memory, live=other, spec=strict)).verdict
        == "inconclusive"
    )
