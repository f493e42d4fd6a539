"""Running the gate: which checks are planned, taking their evidence turn by turn, and the report.

Rule: the gate's verdict is the worst of the rows that hold a bound; a row without one is shown and decides nothing. A
planned check whose evidence is not complete cannot tell.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qdrant_rollouts.core.config.index_file import CheckSpec
from qdrant_rollouts.core.errors import Limited, Refused
from qdrant_rollouts.core.gate.checks import CHECKS
from qdrant_rollouts.core.gate.checks.finding import Check, Finding, Verdict, cannot_tell
from qdrant_rollouts.core.gate.evidence import COLLECTORS, attribution, limited, relevant
from qdrant_rollouts.core.gate.evidence.context import GateContext, Over
from qdrant_rollouts.core.gate.report import worst_answers
from qdrant_rollouts.core.ports import State


@dataclass(frozen=True, slots=True)
class Planned:
    name: str
    check: Check
    bound: float | None
    accepted: bool
    needs: tuple[str, ...]

    @property
    def shown(self) -> bool:
        """Measured for people to see; holds nothing up."""
        return self.bound is None and self.check.shown


def plan(gate: GateContext) -> list[Planned]:
    return [_planned(gate, name, check) for name, check in CHECKS.items() if _wanted(gate, name, check)]


def collect(gate: GateContext, over: Over) -> float | None:
    """Takes evidence until the turn is over; seconds until it wants to go on, None when all is there.

    A collector that was refused, or that the time budget has no room for, leaves its checks without evidence."""
    planned = plan(gate)
    needed = {need for one in planned for need in one.needs}
    wait = _collect(gate, [name for name in COLLECTORS if name in needed], over)
    if wait is not None or not _fell(gate, planned):
        return wait
    return _collect(gate, ["attributed"], over)


def report(gate: GateContext) -> State:
    """Verdict, warnings, and a row for each planned check, in the order of ``CHECKS``. ``unchecked``
    are those of the warnings that say what was not looked at."""
    planned = plan(gate)
    findings = [_finding(gate, one) for one in planned]
    unchecked = _unchecked(gate, planned, findings)
    return {
        "verdict": verdict(planned, findings),
        "collection": gate.green,
        "live": gate.blue,
        "seed": gate.spec.validation.seed,
        "seconds": round(float(gate.memory.get("spent", 0.0)), 1),
        "unchecked": unchecked,
        "warnings": [*unchecked, *_warnings(gate, planned, findings)],
        "checks": [_row(gate, one, finding) for one, finding in zip(planned, findings, strict=True)],
        "attribution": attribution.summary(gate),
        "worst": worst_answers(gate),
    }


def verdict(planned: Sequence[Planned], findings: Sequence[Finding]) -> Verdict:
    """Worst wins; nothing planned proves nothing."""
    held = [
        "pass" if one.accepted and finding.verdict == "inconclusive" else finding.verdict
        for one, finding in zip(planned, findings, strict=True)
        if not _only_shown(one, finding)
    ]
    if "block" in held:
        return "block"
    return "pass" if set(held) == {"pass"} else "inconclusive"


def reasons(report: Mapping[str, Any]) -> str:
    """The rows that did not pass, as a sentence each with its figures behind; what the worst means and what to do about
    it; and what made them so."""
    rows = [row for row in report["checks"] if row["verdict"] != "pass" and row["level"] != "shown"]
    rows.sort(key=lambda row: row["verdict"] != "block")
    said = "; ".join(map(_reason, rows))
    advice = " ".join(filter(None, (str(rows[0].get(key, "")) for key in ("means", "act")))) if rows else ""
    found = report.get("attribution") or {}
    if found.get("cause"):
        lost = ", ".join(f"{name} {value:+.3f}" for name, value in found["lost"].items())
        said += f"; lost by {lost} ({found['measure']}): most by the {found['cause']}"
    return f"{said}. {advice}" if advice else said


def _reason(row: Mapping[str, Any]) -> str:
    """Reports of an older release have figures alone, and some rows no bound."""
    found, detail = str(row.get("found") or "").removesuffix("."), str(row["detail"])
    bound = "" if row["bound"] is None else f" against {_number(row['bound'])}"
    figures = f"{row['name']} {_number(row['value'])}{bound}"
    if not found:
        return f"{figures} ({detail}, n={row['n']})"
    return f"{found} ({figures}, n={row['n']}{'' if detail in found else f'; {detail}'})"


def progress(gate: GateContext) -> State:
    """How many of the collectors have all their evidence."""
    needed = {need for one in plan(gate) for need in one.needs}
    done = sum(bool(gate.memory.get(name, {}).get("complete")) for name in needed)
    return {"done": done, "size": len(needed), "unit": "parts"}


def words(gate: GateContext) -> str:
    under_way = next(
        (name for name, memory in gate.memory.items() if isinstance(memory, dict) and not memory.get("complete")), ""
    )
    rows = len(gate.memory.get("asked", {}).get("rows", []))
    return f"taking evidence: {under_way}" + (f", {rows} queries asked" if rows else "")


# --- evidence ---------------------------------------------------------------------------------------------------


def _collect(gate: GateContext, names: Sequence[str], over: Over) -> float | None:
    for name in names:
        while not gate.part(name).get("complete") and not _late(gate):
            wait = _piece(gate, name, over)
            if wait is not None and (wait > 0 or over()):
                return wait
    return None


def _piece(gate: GateContext, name: str, over: Over) -> float | None:
    started, memory = time.monotonic(), gate.part(name)
    try:
        wait = COLLECTORS[name](gate, over)
    except Limited as error:
        wait = error.seconds
    except Refused as error:
        memory["refused"], wait = str(error), None
    memory["complete"] = wait is None
    gate.memory["spent"] = float(gate.memory.get("spent", 0.0)) + time.monotonic() - started + (wait or 0.0)
    return wait


def _late(gate: GateContext) -> bool:
    return float(gate.memory.get("spent", 0.0)) >= gate.spec.validation.budget_seconds


def _fell(gate: GateContext, planned: Sequence[Planned]) -> bool:
    """Is the quality of answers in doubt, so that it must be said what changed it?"""
    if gate.live is None:
        return False
    return any(_finding(gate, one).verdict != "pass" for one in planned if one.check.quality)


# --- planning and judging ---------------------------------------------------------------------------------------


def _wanted(gate: GateContext, name: str, check: Check) -> bool:
    if gate.alone and check.compares(gate):
        return False
    if check.asks_live and gate.live is not None and not gate.live.answers:
        return False
    if name in gate.spec.validation.checks:
        return gate.spec.validation.checks[name] is not False
    return check.when(gate) and not (gate.kind is not None and name in gate.kind.without)


def _planned(gate: GateContext, name: str, check: Check) -> Planned:
    said = gate.spec.validation.check(name) or CheckSpec()
    bound = said.bound if said.bound is not None else check.bound_for(gate)
    return Planned(name, check, bound, said.accept_inconclusive, () if check.known(gate) else check.needs)


def _finding(gate: GateContext, planned: Planned) -> Finding:
    missing = _missing(gate, planned)
    if missing:
        return cannot_tell(missing)
    try:
        found = planned.check.judge(gate, planned.bound)
    except Refused as error:
        return cannot_tell(str(error))
    if planned.check.soft and found.verdict == "block":
        return replace(found, verdict="inconclusive")
    return found


def _missing(gate: GateContext, planned: Planned) -> str:
    """Why the evidence is not complete, or nothing."""
    for need in planned.needs:
        memory = gate.memory.get(need, {})
        if memory.get("refused"):
            return str(memory["refused"])
        if not memory.get("complete"):
            return f"the time budget of {gate.spec.validation.budget_seconds:g} s ran out (validation.budget_seconds)"
    return ""


def _row(gate: GateContext, planned: Planned, finding: Finding) -> State:
    shown = _only_shown(planned, finding)
    detail = f"shown, no bound in the index file; {finding.detail}" if planned.shown and shown else finding.detail
    if planned.accepted and finding.verdict == "inconclusive":
        detail += "; accepted by the index file"
    return {
        "name": planned.name,
        "value": finding.value,
        "bound": finding.bound if finding.bound is not None else planned.bound,
        "n": finding.n,
        "verdict": finding.verdict,
        "level": "shown" if shown else "soft" if planned.check.soft else "hard",
        "detail": detail,
        "found": finding.found or finding.detail,
        **_advice(planned, finding),
        **({"facts": dict(finding.facts)} if finding.facts else {}),
    }


def _advice(planned: Planned, finding: Finding) -> State:
    """What a row means and what to do about it. One that had nothing to look at says what it would have shown."""
    if finding.verdict == "pass":
        return {"means": "", "act": ""}
    if finding.verdict == "inconclusive" and finding.value is None:
        return {
            "means": f"What is not proven does not pass. It would have been seen here: {planned.check.means}",
            "act": f"Give the check what it lacks and retry; promote after a look of your own; or leave it out "
            f"(validation.checks.{planned.name}: false).",
        }
    return {"means": planned.check.means, "act": planned.check.act}


def _only_shown(planned: Planned, finding: Finding) -> bool:
    return finding.only_shown or (planned.shown and not finding.decides)


def _unchecked(gate: GateContext, planned: Sequence[Planned], findings: Sequence[Finding]) -> list[str]:
    """What nobody looked at, by those checks that say so where they are not planned, or cannot decide anything."""
    there = {one.name for one, finding in zip(planned, findings, strict=True) if not finding.only_shown}
    said = (check.absent(gate) for name, check in CHECKS.items() if name not in there)
    return list(dict.fromkeys(filter(None, said)))


def _warnings(gate: GateContext, planned: Sequence[Planned], findings: Sequence[Finding]) -> list[str]:
    warnings = [*limited.words(gate), *relevant.words(gate)]
    warnings += [
        f"{one.name} cannot tell and is accepted by the index file: {finding.detail}"
        for one, finding in zip(planned, findings, strict=True)
        if one.accepted and finding.verdict == "inconclusive"
    ]
    return warnings


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
