"""A check of each vector has one row: the worst name's, and it passes only if every name does."""

from collections.abc import Iterator
from typing import Any

import pytest

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.finding import Finding
from qdrant_rollouts.core.gate.evidence.context import GateContext, LiveCollection
from qdrant_rollouts.core.gate.evidence.probes import FURTHER, list_probes
from qdrant_rollouts.core.gate.evidence.vectors import collect_vectors
from qdrant_rollouts.core.ports import Point

SCHEMA = {
    "params": {
        "vectors": {
            "one": {"size": 2, "distance": "Cosine"},
            "two": {"size": 2, "distance": "Cosine"},
        }
    },
    "payload_schema": {},
}
NAMES = ["one", "two"]


@pytest.fixture
def store() -> Iterator[LocalStore]:
    made = LocalStore(":memory:")
    made.create("green", SCHEMA, {})
    points = [
        Point(n, {"one": [1.0, n], "two": [n, 1.0]} if n < 30 else {"one": [1.0, n]}, {})
        for n in range(300)
    ]
    made.upsert("green", points)
    yield made
    made.close()


def gate(
    store: Any, *rows: dict[str, Any], names: list[str] | None = None, **more: Any
) -> GateContext:
    asked = {"rows": list(rows), "complete": True, **({"names": names} if names else {})}
    spec = IndexSpec.model_validate({"validation": {"samples": {"queries": 200}}})
    return GateContext(store, "green", spec, vector="one", memory={"asked": asked}, **more)


def found(check: str, context: GateContext) -> Finding:
    return CHECKS[check].judge(context, CHECKS[check].bound_for(context))


def told(vector: str | None, count: int, **values: Any) -> list[dict[str, Any]]:
    given = {} if vector is None else {"vector": vector}
    return [{"name": f"point {n}", "n": 10, "found": 11, **given, **values} for n in range(count)]


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        ("self_retrieval", {"self": True}, {"self": False}),
        ("ann_recall@10", {"recall": 1.0}, {"recall": 0.5}),
        ("zero_result", {"n": 10}, {"n": 0, "found": 0}),
    ],
)
def test_one_bad_name_blocks_whatever_the_others_are(
    store: LocalStore, check: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    finding = found(
        check, gate(store, *told("one", 100, **good), *told("two", 100, **bad), names=NAMES)
    )
    assert finding.verdict == "block"
    assert finding.detail.startswith("vector two: ")
    assert finding.facts["vector"] == "two"
    assert {name: one["verdict"] for name, one in finding.facts["by_vector"].items()} == {
        "one": "pass",
        "two": "block",
    }
    fine = found(
        check, gate(store, *told("one", 100, **good), *told("two", 100, **good), names=NAMES)
    )
    assert fine.verdict == "pass"


def test_a_name_that_could_be_asked_and_was_not_has_no_evidence(store: LocalStore) -> None:
    finding = found("self_retrieval", gate(store, *told("one", 50, self=True), names=NAMES))
    assert (finding.verdict, finding.facts["vector"]) == ("inconclusive", "two")


def test_rows_of_a_release_that_knew_one_vector_are_of_the_searched_one(store: LocalStore) -> None:
    finding = found("self_retrieval", gate(store, *told(None, 50, self=True)))
    assert (finding.verdict, finding.n, "by_vector" in finding.facts) == ("pass", 50, False)


def test_what_was_seen_of_each_name_is_told(store: LocalStore) -> None:
    context = gate(store, names=NAMES)
    context.memory["vectors"] = {
        "seen": 300,
        "having": {"one": 300, "two": 30},
        "empty": {"two": 4},
    }
    finding = found("vector_sanity", context)
    assert finding.verdict == "pass"
    assert finding.facts["by_vector"] == {"one": {"having": 300}, "two": {"having": 30, "empty": 4}}


def test_a_name_is_sampled_from_the_points_that_have_it_and_a_further_one_has_a_hundred_at_most(
    store: LocalStore,
) -> None:
    context = gate(store)
    context.memory.clear()
    while collect_vectors(context, lambda: False) is not None:
        pass
    asked = [(probe.vector, probe.point) for probe in list_probes(context)]
    assert len([name for name, _ in asked if name == "one"]) == 200
    assert sorted(id for name, id in asked if name == "two") == list(range(30))
    store.upsert("green", [Point(n, {"one": [1.0, n], "two": [n, 1.0]}, {}) for n in range(300)])
    context.memory.clear()
    collect_vectors(context, lambda: False)
    assert len([probe for probe in list_probes(context) if probe.vector == "two"]) == FURTHER


def test_two_builds_of_one_bad_index_differ_and_a_worse_one_is_still_seen(
    store: LocalStore,
) -> None:
    """By the same queries on both sides; a tenth of what live itself misses is no loss."""
    live = LiveCollection("blue", "one", None, same_model=True, same_texts=True)
    for recall, verdict in ((0.58, "pass"), (0.40, "block")):
        context = gate(store, *told("one", 100, recall=recall), names=["one"], live=live)
        rows = [
            {"vector": "one", "recall": recall, "live_recall": 0.6 + (n % 2) / 50}
            for n in range(100)
        ]
        context.memory["attributed"] = {"rows": rows, "complete": True}
        assert found("ann_recall@10", context).verdict == verdict


def test_a_query_whose_words_stand_in_no_text_is_answered_by_the_other_vector(
    store: LocalStore,
) -> None:
    """Nobody is shown what one vector of the declared search finds alone."""
    by_words = told("two", 3, n=0, found=0, text=True)
    points = [*told("one", 20, text=False), *told("two", 20, text=False)]
    answered = [{**row, "vector": None, "text": True} for row in told("one", 3)]
    assert (
        found("zero_result", gate(store, *points, *by_words, *answered, names=NAMES)).verdict
        == "pass"
    )
    silent = [{**row, "n": 0, "found": 0} for row in answered * 4]
    finding = found("zero_result", gate(store, *points, *by_words, *silent, names=NAMES))
    assert (finding.verdict, finding.detail[:32]) == ("block", "vector all of the declared searc")
