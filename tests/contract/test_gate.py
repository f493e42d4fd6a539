"""The gate within a deployment: which verdict allows what, and what a person may do about it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from qdrant_rollouts.core.database.models import StepRow
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.commands.validating import validate_collection
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import Event
from tests.world import World, texts

#: A floor that nothing can be held to: without an answer in the stamp nobody can tell.
UNSURE = {"checks": {"judged_quality": True}}


def held(world: World, **settings: Any) -> str:
    """A deployment that waits because its gate cannot tell."""
    world.declare(
        "docs", source=world.write("docs.jsonl", texts(30)), validation={**UNSURE, **settings}
    )
    deployment = world.deploy("docs")
    world.run()
    assert world.status(deployment)["status"] == "paused"
    return deployment


def wish(world: World, deployment: str, event: Event, reason: str = "") -> dict[str, Any]:
    commands.request_action(world.services, deployment, event, actor="anna", reason=reason)
    world.run()
    return world.status(deployment)


def test_a_request_to_abort_ends_the_announcement_of_deletions(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(5)))
    world.deploy("docs")
    world.run()
    deployment = held(world)
    green = world.status(deployment)["green"]
    (coming,) = world.status(deployment)["deletions"]
    assert f"after {green} is live" in coming["text"]
    commands.request_action(world.services, deployment, Event.ABORT, actor="anna")
    asked = world.status(deployment)
    assert (asked["status"], asked["requested"]) == ("paused", "abort")
    assert asked["deletions"] == []


def test_a_gate_that_cannot_tell_waits_for_a_person_who_is_named_with_the_reason(
    world: World,
) -> None:
    deployment = held(world)
    assert "judged_quality" in world.status(deployment)["message"]
    status = wish(world, deployment, Event.PROMOTE, "read by hand")
    assert status["status"] == "live"
    output = world.step(deployment, "validate")["output"]
    assert (output["approved_by"], output["approved_because"]) == ("anna", "read by hand")
    assert world.step(deployment, "validate")["message"].startswith(
        "approved by anna: read by hand; the gate cannot"
    )
    assert output["gate"]["verdict"] == "inconclusive"


def test_retry_runs_the_gate_again_as_its_next_attempt(world: World) -> None:
    deployment = held(world)
    status = wish(world, deployment, Event.RETRY, "once more")
    assert status["status"] == "paused"
    assert (status["gate"]["attempt"], world.step(deployment, "validate")["attempt"]) == (2, 2)
    assert "attempt 2: once more" in [event["detail"] for event in status["events"]]
    assert wish(world, deployment, Event.PROMOTE)["status"] == "live"


def _next_attempt(step: StepRow) -> None:
    step.attempt += 1


def _report_of(**other: Any) -> Callable[[StepRow], None]:
    def changed(step: StepRow) -> None:
        step.output = {**step.output, "gate": {**step.output["gate"], **other}}

    return changed


def _nothing_said(step: StepRow) -> None:
    step.output = {}


#: What stands in the row when the switch reads it, besides the verdict that was passed.
OTHERS: dict[str, Callable[[StepRow], None]] = {
    "an earlier attempt": _next_attempt,
    "another deployment": _report_of(deployment="0123456789ab"),
    "another collection": _report_of(collection="docs_20250101_000000"),
    "a gate that blocked": _report_of(verdict="block"),
    "no gate": _nothing_said,
}


@pytest.mark.parametrize("whose", OTHERS)
@pytest.mark.parametrize("approved", [False, True])
def test_a_verdict_that_is_not_its_own_opens_nothing_even_where_it_was_approved(
    world: World, whose: str, approved: bool
) -> None:
    status = switched_on(world, OTHERS[whose], {"approved_by": "anna"} if approved else {})
    assert status["status"] == "rolled_back"
    assert "the gate has not passed" in status["message"]
    assert "docs" not in world.store.aliases()


@pytest.mark.parametrize(
    ("approval", "ends"), [({}, "rolled_back"), ({"approved_by": "anna"}, "live")]
)
def test_a_gate_that_could_not_tell_opens_by_an_approval_only(
    world: World, approval: dict[str, str], ends: str
) -> None:
    assert switched_on(world, _report_of(verdict="inconclusive"), approval)["status"] == ends


def switched_on(
    world: World, changed: Callable[[StepRow], None], approval: dict[str, str]
) -> dict[str, Any]:
    """What became of a deployment whose row was changed between its verdict and the switch."""
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    deployment = world.deploy("docs")
    world.run(until=world.at(deployment, "switch"))
    with world.services.sessions.begin() as session:
        rows = select(StepRow).where(
            StepRow.deployment_id == deployment, StepRow.name == "validate"
        )
        step = session.scalars(rows).one()
        changed(step)
        step.output = {**step.output, **approval}
    world.run()
    return world.status(deployment)


def test_a_gate_that_blocks_can_be_neither_promoted_nor_asked_again(world: World) -> None:
    world.declare(
        "docs",
        source=world.write("docs.jsonl", texts(30)),
        validation={"queries": ["asyncio"], "min_top_score": 1.0},
        rollback_on_failure=False,
    )
    deployment = world.deploy("docs")
    world.run()
    assert world.status(deployment)["gate"]["verdict"] == "block"
    for event in (Event.PROMOTE, Event.RETRY):
        with pytest.raises(Refused, match="is not possible"):
            commands.request_action(world.services, deployment, event, actor="anna")


def test_what_a_person_paused_holds_no_verdict_to_ask_for_again(world: World) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    deployment = world.deploy("docs")
    wish(world, deployment, Event.PAUSE)
    with pytest.raises(Refused, match="use resume"):
        commands.request_action(world.services, deployment, Event.RETRY, actor="anna")


def test_a_gate_of_many_turns_comes_to_the_same_report_as_one_of_few(world: World) -> None:
    """No time at all: each turn does a single piece of the work."""
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    first = world.deploy("docs")
    world.run()
    second = world.deploy("docs")
    world.run(until=world.at(second, "validate"))
    world.services = replace(world.services, times=replace(world.services.times, turn_time=0.0))
    world.run(turns=2000)
    one, other = (world.status(deployment)["gate"] for deployment in (first, second))
    assert (one["verdict"], other["verdict"]) == ("pass", "pass")
    beside_live = {
        "count_vs_live",
        "live_model",
        "overlap",
        "payload_coverage",
        "score_shift",
        "unchanged",
    }
    alone = [row["name"] for row in other["checks"] if row["name"] not in beside_live]
    assert alone == [row["name"] for row in one["checks"]]


def test_no_time_to_look_is_no_pass(world: World) -> None:
    deployment = held(world, budget_seconds=1e-9, checks={})
    assert "time budget" in world.status(deployment)["message"]


def test_checks_and_judged_queries_that_make_no_sense_are_refused_before_anything_is_made(
    world: World,
) -> None:
    bad: dict[str, Callable[[], dict[str, Any]]] = {
        "is not a check": lambda: {"checks": {"cuont": True}},
        "cannot be read": lambda: {"judged": "nowhere.jsonl"},
        "relevant names no record": lambda: {
            "judged": world.write("empty.jsonl", [{"query": "a", "relevant": []}]),
        },
        "query is 7": lambda: {
            "judged": world.write("seven.jsonl", [{"query": 7, "relevant": ["a"]}])
        },
    }
    source = world.write("docs.jsonl", texts(30))
    for said, validation in bad.items():
        world.declare("docs", source=source, validation=validation())
        with pytest.raises(Refused, match=said):
            world.deploy("docs")
    assert world.store.collections() == set()


def test_judged_queries_compare_a_rebuild_with_live_and_name_the_worst(world: World) -> None:
    records = [{"id": n, "text": f"word{n} other{n} third{n}"} for n in range(60)]
    queries = [{"query": f"word{n} other{n}", "relevant": {str(n): 2}} for n in range(60)]
    source = world.write("docs.jsonl", records)
    judged = world.write("judged.jsonl", queries)
    world.declare("docs", source=source, validation={"judged": judged})
    world.deploy("docs")
    world.run()
    deployment = world.deploy("docs")
    world.run()
    rows = {row["name"]: row for row in world.status(deployment)["gate"]["checks"]}
    assert (rows["judged_quality"]["verdict"], rows["judged_quality"]["value"]) == ("pass", 0)
    emptied = [{**record, "text": f"nothing of {record['id']}"} for record in records]
    world.write("docs.jsonl", emptied)
    worse = world.deploy("docs")
    world.run()
    status = world.status(worse)
    assert status["status"] == "rolled_back"
    gate = status["gate"]
    assert gate["attribution"]["cause"] == "data"
    assert len(gate["worst"]) == 5
    assert gate["worst"][0]["live"][0]["text"].startswith("word")


def test_the_worst_queries_are_those_people_have_judged_where_some_of_them_lost(
    world: World,
) -> None:
    """Stored vectors that agree less with live are many, and another measure."""
    records = [{"id": n, "text": f"word{n} other{n} third{n}"} for n in range(60)]
    judged = world.write(
        "judged.jsonl", [{"query": f"word{n} other{n}", "relevant": [n]} for n in range(60)]
    )
    world.declare("docs", source=world.write("docs.jsonl", records), validation={"judged": judged})
    world.deploy("docs")
    world.run()
    world.write(
        "docs.jsonl", [{"id": n, "text": f"nothing of {n}"} for n in range(2)] + records[2:]
    )
    deployment = world.deploy("docs")
    world.run()
    worst = world.status(deployment)["gate"]["worst"]
    assert sorted(one["query"] for one in worst) == ["word0 other0", "word1 other1"]


@pytest.mark.parametrize(
    ("checks", "ends"),
    [
        ({}, "paused"),
        ({"count_vs_live": {"accept_inconclusive": True}}, "live"),
        ({"count_vs_live": 0.6}, "live"),
    ],
)
def test_an_index_that_shrinks_by_more_than_half_waits_unless_the_index_file_allows_it(
    world: World, checks: dict[str, Any], ends: str
) -> None:
    world.declare(
        "docs", source=world.write("docs.jsonl", texts(30)), validation={"checks": checks}
    )
    world.deploy("docs")
    world.run()
    world.write("docs.jsonl", texts(14))
    deployment = world.deploy("docs")
    world.run()
    status = world.status(deployment)
    row = next(row for row in status["gate"]["checks"] if row["name"] == "count_vs_live")
    assert (status["status"], row["n"]) == (ends, 30)
    assert ("less than half of live" in row["detail"]) == (
        "count_vs_live" not in checks or "accepted" in row["detail"]
    )
    told = [said for said in status["gate"]["warnings"] if "accepted by the index file" in said]
    assert len(told) == ("accepted" in row["detail"])


def test_bounds_against_live_hold_up_no_first_deployment(world: World) -> None:
    """Nothing was ever there to compare with; one that is gone is evidence that is missing."""
    judged = world.write(
        "judged.jsonl", [{"query": f"text {n} about", "relevant": [n]} for n in range(30)]
    )
    checks = {"overlap": 0.5, "count_vs_live": 0.1, "judged_quality": -0.02, "regressions": 0.1}
    source = world.write("docs.jsonl", texts(30))
    world.declare(
        "docs",
        source=source,
        validation={"checks": checks, "judged": judged, "samples": {"judged": 30}},
    )
    first = world.deploy("docs")
    world.run()
    assert world.status(first)["status"] == "live"
    second = world.deploy("docs")
    world.run(until=world.at(second, "validate"))
    world.store.drop(world.status(first)["green"])
    world.run()
    status = world.status(second)
    assert status["status"] == "paused"
    assert "there is no live collection to compare with" in status["message"]


def test_judgments_of_records_that_are_nowhere_decide_nothing(world: World) -> None:
    """Both collections find none of them, and no difference would look like no loss."""
    source = world.write("docs.jsonl", texts(60))
    queries = [
        {"query": f"text {n} about", "relevant": {str(1000 + n): 1, str(n): 0}} for n in range(60)
    ]
    world.declare("docs", source=source)
    world.deploy("docs")
    world.run()
    world.declare(
        "docs", source=source, validation={"judged": world.write("judged.jsonl", queries)}
    )
    deployment = world.deploy("docs")
    world.run()
    status = world.status(deployment)
    assert status["status"] == "paused"
    assert "0 judged queries, at least 50 decide" in status["message"]
    assert "60 more name no record that either collection has" in status["message"]


def test_validate_judges_a_collection_without_a_deployment_and_changes_nothing(
    world: World,
) -> None:
    world.declare("docs", source=world.write("docs.jsonl", texts(30)))
    deployment = world.deploy("docs")
    world.run()
    green = world.status(deployment)["green"]
    before = len(world.status(deployment)["events"])
    report = validate_collection(world.services, "docs", green)
    assert (report["verdict"], report["collection"], report["live"]) == ("pass", green, None)
    assert len(world.status(deployment)["events"]) == before
    world.write("docs.jsonl", texts(31))
    world.store.upsert(green, world.store.fetch(green, [1], vectors=True))
    with pytest.raises(Refused, match="does not exist"):
        validate_collection(world.services, "docs", "docs")


def test_a_worse_model_is_named_as_the_cause(world: World) -> None:
    records = [{"id": n, "text": f"word{n} other{n} third{n} fourth{n}"} for n in range(60)]
    queries = [{"query": f"word{n} other{n}", "relevant": [n]} for n in range(60)]
    source = world.write("docs.jsonl", records)
    judged = world.write("judged.jsonl", queries)
    world.declare("docs", source=source, embedding={"model": "hashing:512", "text": "{text}"})
    world.deploy("docs")
    world.run()
    worse = {"model": "hashing:8", "text": "{text}"}
    world.declare("docs", source=source, embedding=worse, validation={"judged": judged})
    deployment = world.deploy("docs")
    world.run()
    status = world.status(deployment)
    assert status["status"] == "rolled_back"
    assert status["gate"]["attribution"]["cause"] == "model"
    assert "most was lost because of the model" in status["message"]
