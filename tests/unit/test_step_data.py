"""What steps write into their rows, and what they read there of the release before."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.database.step_data import (
    FORM,
    UNSET,
    Progress,
    StepOutput,
    StepState,
    add_approval,
    read_data,
    read_progress,
    show_output,
    why_not_known,
    write_data,
)
from qdrant_rollouts.core.database.step_traits import TRAITS
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.steps.backup_data import RecoveredGreen
from qdrant_rollouts.core.deployments.steps.data import (
    CatchUpState,
    ComparedSlice,
    FillState,
    Judged,
    LookState,
    RoundState,
    StageState,
)
from qdrant_rollouts.core.errors import Unavailable

ROOT = Path(__file__).parents[2]
#: Each step's rows as revision 0015 of this program wrote them, in every phase: pairs of a step's
#: name and its JSON.
BEFORE: dict[str, list[tuple[str, dict[str, Any]]]] = json.loads(
    (ROOT / "tests" / "frozen" / "steps_0015.json").read_text(encoding="utf-8")
)


#: What was guessed about snapshots from lists. A clone goes on by what the server has answered.
GUESSED = {"known", "low", "high", "own", "found", "snapshot"}


def as_stored(content: dict[str, Any]) -> dict[str, Any]:
    """As it comes out of the database."""
    found: dict[str, Any] = json.loads(json.dumps(content))
    return found


def without_nothing(content: dict[str, Any]) -> dict[str, Any]:
    """What is null or empty says the same as what is not there."""
    return {key: value for key, value in content.items() if value not in (None, "", [], {})}


@pytest.mark.parametrize(
    ("name", "before"), BEFORE["states"], ids=lambda one: one if isinstance(one, str) else ""
)
def test_a_state_of_the_release_before_is_read_and_nothing_of_it_is_lost(
    name: str, before: dict[str, Any]
) -> None:
    written = as_stored(write_data(read_data(STEPS[name].state, before)))
    kept = without_nothing(before)
    if name == "populate":
        kept = {key: value for key, value in kept.items() if key not in GUESSED}
    assert {key: written.get(key) for key in kept} == kept


def test_the_rounds_of_the_release_before_are_read_and_written_with_the_same_keys() -> None:
    ended = {"seconds": 1.5, "checked": 70, "made": 2, "deleted": 1, "bad": 0, "leader": "ab"}
    found = read_data(CatchUpState, {"form": 1, "number": 1, "rounds": [ended]})
    assert found.rounds == [
        RoundState(seconds=1.5, checked=70, made=2, deleted=1, bad=0, leader="ab")
    ]
    (written,) = as_stored(write_data(found))["rounds"]
    assert {key: written[key] for key in ended} == ended


@pytest.mark.parametrize(
    ("name", "before"), BEFORE["outputs"], ids=lambda one: one if isinstance(one, str) else ""
)
def test_what_a_step_of_the_release_before_handed_on_is_read(
    name: str, before: dict[str, Any]
) -> None:
    found = read_data(STEPS[name].output, before)
    written = as_stored(write_data(found))
    kept = {key: value for key, value in without_nothing(before).items() if key in written}
    assert {
        key: without_nothing(written[key]) if isinstance(written[key], dict) else written[key]
        for key in kept
    } == {
        key: without_nothing(value) if isinstance(value, dict) else value
        for key, value in kept.items()
    }
    assert found.summary == before.get("summary", "")


#: Steps that the release before did not have, and those whose state it did not have.
NEW = {"catch_up"}
NEW_STATES = {"catch_up", "switch"}


def test_every_step_that_keeps_something_is_among_those_that_were_written_down() -> None:
    kept = {name for name, step in STEPS.items() if step.state is not StepState} - NEW_STATES
    handed_on = {name for name, step in STEPS.items() if step.output is not StepOutput} - NEW
    assert {name for name, _ in BEFORE["states"]} == kept
    assert {name for name, _ in BEFORE["outputs"]} >= handed_on


def test_what_is_written_says_its_form_and_what_says_nothing_is_nothing() -> None:
    assert write_data(StageState(looks=3))["form"] == 1
    assert write_data(StepOutput()) == {}
    assert show_output(write_data(Filling(written=3))) == {"written": 3}


def test_rounds_that_are_cut_are_left_to_releases_that_cut_them() -> None:
    begun = ComparedSlice(progress=Progress(done=0, size=3))
    assert write_data(begun)["form"] == write_data(CatchUpState(slices=3))["form"] == 2


@pytest.mark.parametrize(
    ("way", "form"), [("records", 1), ("copy", 1), ("snapshot", 2), ("delta", 2)]
)
def test_a_clone_is_left_to_releases_that_know_how_to_go_on_with_it(way: str, form: int) -> None:
    """The release before reads the first form alone."""
    assert write_data(FillState(way=way))["form"] == form


def test_ids_that_are_being_merged_are_left_to_releases_that_know_how_to_go_on() -> None:
    assert write_data(CatchUpState(round=RoundState(phase="reading")))["form"] == 1
    assert write_data(CatchUpState(round=RoundState(phase="removing")))["form"] == 2
    merged = CatchUpState(rounds=[RoundState(), RoundState(phase="merging")])
    assert write_data(merged)["form"] == 2


@pytest.mark.parametrize(
    ("state", "place"),
    [
        (FillState(way="delta"), ""),
        (
            FillState(way="delta", look=LookState(read=70)),
            "from record 71 on, compared with the live collection",
        ),
        (
            FillState(
                way="delta", look=LookState(phase="decided"), phase="recovering", cloned="docs_1"
            ),
            "while docs_1 was cloned",
        ),
        (
            FillState(way="delta", phase="cloned", cloned="docs_1", round=RoundState(read=9)),
            "from record 10 on, compared with the clone",
        ),
    ],
)
def test_a_clone_says_where_it_is(state: FillState, place: str) -> None:
    assert state.describe_place() == place


def test_a_filling_in_slices_is_left_to_releases_that_know_them() -> None:
    """The release before reads the first form alone."""
    assert write_data(FillState(way="records"))["form"] == 1
    assert write_data(FillState(way="records", slices=3))["form"] == 2
    assert write_data(FillState(way="records", refilled=True))["form"] == 2


def test_a_form_of_a_newer_release_is_left_to_it() -> None:
    assert why_not_known({"form": FORM + 1})
    with pytest.raises(Unavailable, match=f"form {FORM + 1}"):
        read_data(FillState, {"form": FORM + 1})


def test_a_key_that_is_not_known_is_passed_over_and_one_that_must_be_there_is_named() -> None:
    assert read_data(FillState, {"way": "copy", "of_another_release": 1}).way == "copy"
    with pytest.raises(Unavailable, match="count, sampled, queries, faults"):
        read_data(STEPS["compare"].output, {"summary": "well"})


def test_null_and_not_written_are_two_things_where_both_are_possible() -> None:
    assert read_data(Filling, {"print": None}).fingerprint is None
    assert read_data(Filling, {}).fingerprint is UNSET
    assert "print" in write_data(Filling(fingerprint=None))
    assert read_data(RecoveredGreen, {"strict": None}).strict is None
    assert read_data(RecoveredGreen, {}).strict is UNSET


def test_an_approval_is_read_with_what_was_approved() -> None:
    judged = read_data(
        Judged, add_approval(write_data(Judged(gate={"verdict": "inconclusive"})), "anna", "looked")
    )
    assert (judged.approved_by, judged.approved_because) == ("anna", "looked")
    assert judged.report == {"verdict": "inconclusive"}


def test_where_a_step_stands_is_told_of_its_progress_or_its_own_counts() -> None:
    half = Progress(done=10, size=20, unit="bytes")
    assert StepState(progress=half).describe_place() == "from 10 of 20 bytes on"
    assert (
        FillState(read=128, window=64, progress=half).describe_place()
        == "from record 129 on, 64 at a time"
    )
    assert StepState().describe_place() == ""
    assert read_progress(write_data(StepState(progress=half))) == half
    assert read_progress({"progress": {}}) is None


# --- names ----------------------------------------------------------------------------------------


def names_of_steps(tree: ast.AST) -> list[str]:
    """Places where a step is known by its name: compared with it, or looked up by it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            constants = [
                one for side in sides for one in ast.walk(side) if isinstance(one, ast.Constant)
            ]
            if any(ast.unparse(side).endswith((".name", "step.name")) for side in sides):
                found += [str(one.value) for one in constants if one.value in STEPS]
        if isinstance(node, ast.Subscript | ast.Call):
            text = ast.unparse(node)
            found += [
                name
                for name in STEPS
                for form in (f"outputs['{name}']", f"outputs.get('{name}'")
                if form in text
            ]
    return found


def test_nobody_knows_a_step_by_its_name_but_its_tables() -> None:
    assert names_of_steps(ast.parse("if step.name == 'shift': pass"))
    assert names_of_steps(
        ast.parse("select(StepRow.name.in_(x)).where(StepRow.name == 'populate')")
    )
    assert names_of_steps(ast.parse("plan = outputs['create']"))
    files = [
        path for folder in ("core", "tasks", "interfaces") for path in (ROOT / folder).rglob("*.py")
    ]
    knowing = [
        path for path in files if names_of_steps(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert knowing == []
    assert set(TRAITS) <= set(STEPS)
