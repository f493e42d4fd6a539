"""What a row of the gate's report says to people: each check has a text, and none of them needs
statistics."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell, judge_interval
from qdrant_rollouts.core.gate.reasons import describe_reasons, list_failed_checks
from qdrant_rollouts.core.gate.verdict import PlannedCheck
from qdrant_rollouts.core.statistics.intervals import Interval

CHECKS_FOLDER = Path(__file__).parents[2] / "core" / "gate" / "checks"
#: What nobody should have to know.
STATISTICS = re.compile(
    r"interval \[|\bn=|nDCG|\bMRR\b|\bRBO\b|quantile|p-value|McNemar|low >=|high <=|bootstrap",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_says_what_its_failure_means_and_what_to_do(name: str) -> None:
    check = CHECKS[name]
    for said in (check.means, check.act):
        assert said.endswith("."), (name, said)
        assert len(said.split()) >= 4, (name, said)
        assert not STATISTICS.search(said), (name, said)


def findings() -> list[tuple[str, ast.Call]]:
    """Every place in ``core/gate/checks`` where a finding is made by hand, by file and line."""
    return [
        (f"{path.name}:{node.lineno}", node)
        for path in sorted(CHECKS_FOLDER.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"Finding", "held"}
    ]


@pytest.mark.parametrize(("where", "call"), [pytest.param(*one, id=one[0]) for one in findings()])
def test_every_finding_has_a_sentence_of_its_own(where: str, call: ast.Call) -> None:
    """Whatever the verdict: a colleague who adds a check cannot forget it."""
    assert isinstance(call.func, ast.Name)
    wanted = "found" if call.func.id == "Finding" else "said"
    named = {keyword.arg for keyword in call.keywords}
    # The bare number of a mean is told by the check around it.
    told_by_caller = where.startswith("judging.py") and call.func.id == "held"
    assert wanted in named or told_by_caller, where


def literals(node: ast.AST) -> str:
    return " ".join(
        one.value
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    )


@pytest.mark.parametrize("path", sorted(CHECKS_FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_no_sentence_needs_statistics(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in {"found", "said"}:
            assert not STATISTICS.search(literals(node.value)), (path.name, literals(node.value))
        if isinstance(node, ast.Assign) and any(
            isinstance(at, ast.Name) and at.id == "said" for at in node.targets
        ):
            assert path.name in {
                "round_trip.py",
                "judging.py",
                "floor.py",
            } or not STATISTICS.search(literals(node))


def test_what_could_not_be_told_is_a_sentence_too() -> None:
    assert cannot_tell("nobody came").found == "This could not be decided: nobody came."


def row(finding: Finding, name: str = "ann_recall@10") -> dict[str, Any]:
    planned = PlannedCheck(name, CHECKS[name], 0.9, accepted=False, needs=())
    return verdict._row_of_check(planned=planned, finding=finding, gate=None)  # type: ignore[arg-type]  # it is not looked at


def test_a_row_that_passed_gives_no_advice_and_one_that_failed_does() -> None:
    passed = row(judge_interval(Interval(0.95, 0.94, 0.96), 0.9, 300, "x", said="Fine."))
    assert (passed["means"], passed["act"], passed["found"]) == ("", "", "Fine.")
    failed = row(judge_interval(Interval(0.5, 0.4, 0.6), 0.9, 300, "x", said="Bad."))
    assert (failed["means"], failed["act"]) == (
        CHECKS["ann_recall@10"].means,
        CHECKS["ann_recall@10"].act,
    )
    assert failed["facts"] == {"interval": [0.4, 0.6]}


def test_a_row_without_evidence_does_not_claim_the_failure_it_would_have_shown() -> None:
    unknown = row(cannot_tell("no search was possible"))
    assert unknown["means"].startswith("What is not proven does not pass.")
    assert "validation.checks.ann_recall@10: false" in unknown["act"]


def test_an_end_of_an_interval_that_nobody_knows_is_null_in_json() -> None:
    assert row(judge_interval(Interval(0.5, float("-inf"), float("inf")), 0.9, 1, "x"))[
        "facts"
    ] == {"interval": [None, None]}


def test_the_reason_is_what_decided_in_words_and_figures_and_what_to_do() -> None:
    said = {
        "found": "Little is there.",
        "means": "Answers lack.",
        "act": "Look.",
        "n": 3,
        "level": "hard",
    }
    unsure = {
        "name": "b",
        "value": None,
        "bound": None,
        "verdict": "inconclusive",
        "detail": "why",
        **said,
    }
    worst = {
        "name": "a",
        "value": 1.0,
        "bound": 2.0,
        "verdict": "block",
        "detail": "at least",
        **said,
        "found": "Bad.",
    }
    assert describe_reasons({"checks": [unsure, worst]}) == (
        "Bad (a 1 against 2, n=3); b did not pass either. Next: Look."
    )
    accepted = {**unsure, "name": "c", "detail": "why; accepted by the index file"}
    assert list_failed_checks({"checks": [accepted, unsure, worst]}) == [worst, unsure, accepted]


def test_a_sentence_that_has_all_the_figures_still_comes_before_them() -> None:
    said = "60 records have the text that live has under another id"
    moved = {
        "name": "unchanged",
        "value": 1.0,
        "bound": None,
        "n": 60,
        "verdict": "block",
        "level": "hard",
    }
    assert (
        describe_reasons({"checks": [{**moved, "detail": said, "found": said}]})
        == f"{said} (unchanged 1, n=60)"
    )


def test_the_reasons_of_a_report_of_an_older_release_are_its_figures() -> None:
    old = {
        "name": "a",
        "value": 1.0,
        "bound": 2.0,
        "verdict": "block",
        "detail": "at least",
        "n": 3,
        "level": "hard",
    }
    assert describe_reasons({"checks": [old]}) == "a 1 against 2 (at least, n=3)"
