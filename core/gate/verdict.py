"""Runs the gate: plans the checks, collects their evidence turn by turn, and builds the report.

Rule: the gate's verdict is the worst of the rows with a bound; a row without one is shown and
decides nothing. A planned check with incomplete evidence is inconclusive.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qdrant_rollouts.core.config.index_file import CheckSpec
from qdrant_rollouts.core.database.step_data import Progress
from qdrant_rollouts.core.errors import Limited, Refused
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.finding import Check, Finding, Verdict, cannot_tell
from qdrant_rollouts.core.gate.evidence import COLLECTORS, attribution, limited, relevant
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.reasons import ACCEPTED
from qdrant_rollouts.core.gate.report import worst_answers
from qdrant_rollouts.core.ports import State


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    name: str
    check: Check
    bound: float | None
    accepted: bool
    needs: tuple[str, ...]

    @property
    def shown(self) -> bool:
        """Measured for people to see; stops nothing."""
        return self.bound is None and self.check.shown


def plan_checks(gate: GateContext) -> list[PlannedCheck]:
    return [
        _plan_check(gate, name, check)
        for name, check in CHECKS.items()
        if _is_wanted(gate, name, check)
    ]


def collect_evidence(gate: GateContext, over: IsTurnOver) -> float | None:
    """Collects evidence until the turn is over; returns the seconds until it wants to continue,
    None when it is complete.

    A collector that was refused, or that does not fit into the time budget, leaves its checks
    without evidence.
    """
    planned = plan_checks(gate)
    needed = {need for one in planned for need in one.needs}
    wait = _collect_parts(gate, [name for name in COLLECTORS if name in needed], over)
    if wait is not None or not _is_quality_doubtful(gate, planned):
        return wait
    return _collect_parts(gate, ["attributed"], over)


def build_report(gate: GateContext) -> State:
    """Returns verdict, warnings, and a row for each planned check, in the order of ``CHECKS``.
    ``unchecked`` are the warnings that say what was not checked."""
    planned = plan_checks(gate)
    findings = [_judge_check(gate, one) for one in planned]
    unchecked = _list_unchecked(gate, planned, findings)
    return {
        "verdict": worst_verdict(planned, findings),
        "collection": gate.green,
        "live": gate.blue,
        "seed": gate.spec.validation.seed,
        "seconds": round(float(gate.memory.get("spent", 0.0)), 1),
        "unchecked": unchecked,
        "warnings": [*unchecked, *_list_warnings(gate, planned, findings)],
        "checks": [
            _row_of_check(gate, one, finding)
            for one, finding in zip(planned, findings, strict=True)
        ],
        "attribution": attribution.summarize_losses(gate),
        "worst": worst_answers(gate),
    }


def worst_verdict(planned: Sequence[PlannedCheck], findings: Sequence[Finding]) -> Verdict:
    """The worst verdict wins; a gate without checks proves nothing."""
    held = [
        "pass" if one.accepted and finding.verdict == "inconclusive" else finding.verdict
        for one, finding in zip(planned, findings, strict=True)
        if not _is_only_shown(one, finding)
    ]
    if "block" in held:
        return "block"
    if set(held) == {"pass"}:
        return "pass"
    return "inconclusive"


def measure_progress(gate: GateContext) -> Progress:
    """Returns how many of the collectors have all their evidence."""
    needed = {need for one in plan_checks(gate) for need in one.needs}
    done = sum(bool(gate.memory.get(name, {}).get("complete")) for name in needed)
    return Progress(done=done, size=len(needed), unit="parts")


def describe_progress(gate: GateContext) -> str:
    under_way = next(
        (
            name
            for name, memory in gate.memory.items()
            if isinstance(memory, dict) and not memory.get("complete")
        ),
        "",
    )
    rows = len(gate.memory.get("asked", {}).get("rows", []))
    return f"taking evidence: {under_way}" + (f", {rows} queries asked" if rows else "")


def _collect_parts(gate: GateContext, names: Sequence[str], over: IsTurnOver) -> float | None:
    for name in names:
        while not gate.part(name).get("complete") and not _is_over_budget(gate):
            wait = _collect_piece(gate, name, over)
            if wait is not None and (wait > 0 or over()):
                return wait
    return None


def _collect_piece(gate: GateContext, name: str, over: IsTurnOver) -> float | None:
    started = time.monotonic()
    memory = gate.part(name)
    try:
        wait = COLLECTORS[name](gate, over)
    except Limited as error:
        wait = error.seconds
    except Refused as error:
        memory["refused"], wait = str(error), None
    memory["complete"] = wait is None
    gate.memory["spent"] = (
        float(gate.memory.get("spent", 0.0)) + time.monotonic() - started + (wait or 0.0)
    )
    return wait


def _is_over_budget(gate: GateContext) -> bool:
    return float(gate.memory.get("spent", 0.0)) >= gate.spec.validation.budget_seconds


def _is_quality_doubtful(gate: GateContext, planned: Sequence[PlannedCheck]) -> bool:
    """Is the quality of answers in doubt, so that the cause must be found?"""
    if gate.live is None:
        return False
    return any(_judge_check(gate, one).verdict != "pass" for one in planned if one.check.quality)


def _is_wanted(gate: GateContext, name: str, check: Check) -> bool:
    if gate.alone and check.compares(gate):
        return False
    if check.asks_live and gate.live is not None and not gate.live.answers:
        return False
    if name in gate.spec.validation.checks:
        return gate.spec.validation.checks[name] is not False
    return check.when(gate) and not (gate.kind is not None and name in gate.kind.without)


def _plan_check(gate: GateContext, name: str, check: Check) -> PlannedCheck:
    said = gate.spec.validation.check(name) or CheckSpec()
    bound = said.bound if said.bound is not None else check.bound_for(gate)
    return PlannedCheck(
        name, check, bound, said.accept_inconclusive, () if check.known(gate) else check.needs
    )


def _judge_check(gate: GateContext, planned: PlannedCheck) -> Finding:
    missing = _describe_missing(gate, planned)
    if missing:
        return cannot_tell(missing)
    try:
        found = planned.check.judge(gate, planned.bound)
    except Refused as error:
        return cannot_tell(str(error))
    if planned.check.soft and found.verdict == "block":
        return replace(found, verdict="inconclusive")
    return found


def _describe_missing(gate: GateContext, planned: PlannedCheck) -> str:
    """Returns why the evidence is not complete; empty if it is."""
    for need in planned.needs:
        memory = gate.memory.get(need, {})
        if memory.get("refused"):
            return str(memory["refused"])
        if not memory.get("complete"):
            return (
                f"the time budget of {gate.spec.validation.budget_seconds:g} s ran out "
                "(validation.budget_seconds)"
            )
    return ""


def _row_of_check(gate: GateContext, planned: PlannedCheck, finding: Finding) -> State:
    shown = _is_only_shown(planned, finding)
    detail = finding.detail
    if planned.shown and shown:
        detail = f"shown, no bound in the index file; {finding.detail}"
    if planned.accepted and finding.verdict == "inconclusive":
        detail += ACCEPTED
    return {
        "name": planned.name,
        "value": finding.value,
        "bound": finding.bound if finding.bound is not None else planned.bound,
        "n": finding.n,
        "verdict": finding.verdict,
        "level": "shown" if shown else planned.check.level,
        "detail": detail,
        "found": finding.found or finding.detail,
        **_advise(planned, finding),
        **({"facts": dict(finding.facts)} if finding.facts else {}),
    }


def _advise(planned: PlannedCheck, finding: Finding) -> State:
    """Returns what a row means and what to do about it. A row without evidence says what it would
    have shown."""
    if finding.verdict == "pass":
        return {"means": "", "act": ""}
    if finding.verdict == "inconclusive" and finding.value is None:
        return {
            "means": "What is not proven does not pass. It would have been seen here: "
            f"{planned.check.means}",
            "act": "Give the check what it lacks and retry; promote after checking it yourself; "
            "or leave it out "
            f"(validation.checks.{planned.name}: false).",
        }
    return {"means": planned.check.means, "act": planned.check.act}


def _is_only_shown(planned: PlannedCheck, finding: Finding) -> bool:
    return finding.only_shown or (planned.shown and not finding.decides)


def _list_unchecked(
    gate: GateContext, planned: Sequence[PlannedCheck], findings: Sequence[Finding]
) -> list[str]:
    """Lists what was not checked: checks that are not planned and say so, or that cannot decide
    anything."""
    there = {
        one.name for one, finding in zip(planned, findings, strict=True) if not finding.only_shown
    }
    said = (check.absent(gate) for name, check in CHECKS.items() if name not in there)
    return list(dict.fromkeys(filter(None, said)))


def _list_warnings(
    gate: GateContext, planned: Sequence[PlannedCheck], findings: Sequence[Finding]
) -> list[str]:
    warnings = [*limited.describe_limits(gate), *relevant.describe_left_out(gate)]
    warnings += [
        f"{one.name} cannot tell and is accepted by the index file: {finding.detail}"
        for one, finding in zip(planned, findings, strict=True)
        if one.accepted and finding.verdict == "inconclusive"
    ]
    return warnings
