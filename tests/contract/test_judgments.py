"""Judged queries on an index that changes: records leave, new ones come, and people mistype."""

from dataclasses import replace
from typing import Any, cast

import pytest

from qdrant_rollouts.adapters.qdrant_local import LocalStore
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.gate.evidence.context import GateContext, JudgedQuery, LiveCollection
from qdrant_rollouts.core.gate.evidence.relevant import sort_judgments
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.core.ports import Point
from tests.world import World

SIZE = 60
#: Neighbours that came or left move a record a little.
NOTHING = pytest.approx(0, abs=0.005)


def record(n: int, name: Any = None) -> dict[str, Any]:
    return {"id": n if name is None else name, "text": f"word{n} other{n} third{n}"}


def query(n: int, *names: Any) -> dict[str, Any]:
    return {"query": f"word{n} other{n}", "relevant": list(names) or [n]}


@pytest.fixture
def rebuild(world: World) -> Any:
    """``rebuild(records, queries)``: the status of the deployment that follows one of ``SIZE``
    records."""

    def rebuild(
        records: list[dict[str, Any]], judged: list[dict[str, Any]], **validation: Any
    ) -> dict[str, Any]:
        path = world.write("judged.jsonl", judged)
        first = [record(n) for n in range(SIZE)] if isinstance(records[0]["id"], int) else records
        world.declare(
            "docs",
            source=world.write("docs.jsonl", first),
            validation={"judged": path, **validation},
        )
        world.deploy("docs")
        world.run()
        world.write("docs.jsonl", records)
        deployment = world.deploy("docs")
        world.run()
        status: dict[str, Any] = world.status(deployment)
        return status

    return rebuild


def row_of(status: dict[str, Any], name: str = "judged_quality") -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in status["gate"]["checks"] if row["name"] == name)
    return found


def test_relevant_records_that_left_the_source_are_left_out_and_listed(rebuild: Any) -> None:
    left = 8  # as nDCG of 0 they would be a loss of 0.13
    status = rebuild([record(n) for n in range(left, SIZE)], [query(n) for n in range(SIZE)])
    row = row_of(status)
    assert (status["status"], row["verdict"], row["n"], row["value"]) == (
        "live",
        "pass",
        SIZE - left,
        NOTHING,
    )
    listed = {one["query"]: one for one in row["facts"]["left_out"]}
    assert listed["word3 other3"] == {"query": "word3 other3", "left": ["3"]}
    assert len(listed) == left
    assert f"they left the source: {left}" in row["found"]


def test_a_query_is_held_to_those_of_its_records_that_both_sides_have(rebuild: Any) -> None:
    """One record of two has left, and live's answer of it does not count for live either."""
    judged = [query(n, n, (n + 1) % SIZE) for n in range(SIZE)]
    status = rebuild([record(n) for n in range(2, SIZE)], judged)
    row = row_of(status)
    assert (status["status"], row["value"]) == ("live", NOTHING)
    assert {"query": "word1 other1", "left": ["1"]} in row["facts"]["left_out"]


def test_queries_whose_relevant_records_are_new_stand_apart(rebuild: Any) -> None:
    status = rebuild([record(n) for n in range(SIZE + 10)], [query(n) for n in range(SIZE + 10)])
    row = row_of(status)
    assert (status["status"], row["n"], row["value"]) == ("live", SIZE, NOTHING)
    assert {one["query"] for one in row["facts"]["new"]} == {
        f"word{n} other{n}" for n in range(SIZE, SIZE + 10)
    }
    assert all(one["ndcg@10"] > 0.5 for one in row["facts"]["new"])
    assert "10 more ask for records that are new" in row["found"]


def test_records_that_the_source_has_and_green_has_not_are_a_loss() -> None:
    """What is gone from both green and its source has left; without a source nobody knows."""
    store = LocalStore(":memory:")
    for name, ids in (("blue", range(4)), ("green", (3,))):
        store.create(
            name,
            {"params": {"vectors": {"size": 2, "distance": "Cosine"}}, "payload_schema": {}},
            {},
        )
        store.upsert(name, [Point(id, [1.0, float(id)], {}) for id in ids])
    live = LiveCollection("blue", "", None, same_model=True, same_texts=True)
    judged = JudgedQuery("q", {0: 1.0, 1: 1.0, 3: 2.0, 9: 1.0})
    memory = {"origin": {"complete": True, "judged": [1, 3]}}
    gate = GateContext(
        store, "green", IndexSpec(), live=live, judged=(judged,), source=cast("Any", "read before")
    )
    known = sort_judgments(replace(gate, memory=memory), ["q"])["q"]
    assert known.counted == {1: 1.0, 3: 2.0}
    assert known.records == {"left": ["0"], "lost": ["1"], "unknown": ["9"]}
    unknown = sort_judgments(replace(gate, source=None, memory=memory), ["q"])["q"]
    assert (unknown.counted, unknown.gone) == ({3: 2.0}, {0: 1.0, 1: 1.0})
    store.close()


def test_ids_that_no_record_has_are_said_in_words(rebuild: Any) -> None:
    judged = [*(query(n) for n in range(SIZE)), {"query": "word5", "relevant": ["wrod5", 5]}]
    status = rebuild([record(n) for n in range(SIZE)], judged)
    assert status["status"] == "live"
    assert (
        "no record has these ids of validation.judged: 'wrod5'; correct them, or leave them out"
        in status["gate"]["warnings"]
    )
    assert row_of(status)["n"] == SIZE + 1


@pytest.mark.parametrize("written", [lambda n: [str(n)], lambda n: [n], lambda n: {str(n): 1}])
def test_numbers_and_text_are_told_apart_by_the_records_there_are(
    rebuild: Any, written: Any
) -> None:
    """Records called "7" and judgments of 7, in whatever form JSON has it."""
    judged = [{"query": f"word{n} other{n}", "relevant": written(n)} for n in range(SIZE)]
    status = rebuild([record(n, str(n)) for n in range(SIZE)], judged)
    row = row_of(status)
    assert (status["status"], row["n"], row["value"]) == ("live", SIZE, NOTHING)
    assert any(
        said.startswith("ids of validation.judged that records have as")
        for said in status["gate"]["warnings"]
    )


def test_fewer_judged_queries_than_decide_are_said_at_once_and_never_hold_up(world: World) -> None:
    path = world.write("judged.jsonl", [query(n) for n in range(30)])
    world.declare(
        "docs",
        source=world.write("docs.jsonl", [record(n) for n in range(SIZE)]),
        validation={"judged": path},
    )
    said = "30 judged queries are fewer than the 50 that decide (validation.samples.judged)"
    for version in (1, 2, 3):
        deployment = world.deploy("docs")
        (warning,) = queries.describe_started(world.services, deployment)["warnings"]
        assert warning.startswith(said)
        world.run()
        status = world.status(deployment)
        assert status["status"] == "live", version
        assert any(line.startswith(said) for line in status["gate"]["unchecked"]), version
        world.write(
            "docs.jsonl", [record(n + 100 * version) for n in range(SIZE)]
        )  # every answer is lost


def test_judgments_that_grew_old_do_not_hold_up_every_night(rebuild: Any) -> None:
    """Sixty were enough; of eleven the records have left, and forty-nine decide nothing."""
    status = rebuild([record(n) for n in range(11, SIZE)], [query(n) for n in range(SIZE)])
    assert (status["status"], row_of(status)["level"]) == ("live", "shown")
    assert any(
        line.startswith("49 judged queries are fewer") for line in status["gate"]["unchecked"]
    )


def test_enough_judged_queries_need_no_warning(world: World) -> None:
    path = world.write("judged.jsonl", [query(n) for n in range(SIZE)])
    world.declare(
        "docs",
        source=world.write("docs.jsonl", [record(n) for n in range(SIZE)]),
        validation={"judged": path},
    )
    assert "warnings" not in queries.describe_started(world.services, world.deploy("docs"))
