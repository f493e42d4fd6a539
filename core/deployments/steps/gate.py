"""The gate as a step: take evidence in slices, judge green, keep the report, and say what it means."""

import time

from qdrant_rollouts.core.collections import versions
from qdrant_rollouts.core.collections.vectors import VectorPlan, read_plan
from qdrant_rollouts.core.deployments.plan import (
    Done,
    Hold,
    Outcome,
    Reject,
    StepContext,
    Wait,
    why_model_may_be_unknown,
)
from qdrant_rollouts.core.deployments.steps import pieces, reading
from qdrant_rollouts.core.deployments.steps.version_notes import note_facts
from qdrant_rollouts.core.gate import verdict as gate
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.opening import existing_plan, open_existing, open_gate
from qdrant_rollouts.core.ports import State


def run_gate(context: StepContext) -> Outcome:
    """Safe to run twice: it only looks, and a slice repeated after a crash finds the same again."""
    deployment = context.deployment
    memory = dict(context.state.get("memory", {}))
    judged = _open_step_gate(context, memory)
    state: State = {**context.state, "memory": memory}
    waits: list[float | None] = []

    def piece(seconds: float) -> bool:
        ends = time.monotonic() + seconds
        waits.append(gate.collect_evidence(judged, lambda: time.monotonic() >= ends))
        state["progress"] = gate.measure_progress(judged)
        return waits[-1] == 0

    pieces.work(context, state, piece)
    if waits[-1] is not None:
        return Wait(waits[-1], gate.describe_progress(judged))
    report = {**gate.build_report(judged), "deployment": deployment.id, "attempt": context.attempt}
    note_facts(context, versions.facts_of_report(report))
    context.turn.save({})
    return _outcome_of_report(report)


def why_gate_shut(context: StepContext) -> str:
    """Why the switch may not happen, or nothing. A verdict opens only for the deployment, the collection and the
    attempt it was made of; a plan without a gate (a rollback) has none to ask."""
    if "validate" not in context.outputs:
        return ""
    output = context.outputs["validate"]
    deployment = context.deployment
    report = output.get("gate", {})
    found = report.get("deployment"), report.get("collection"), report.get("attempt")
    mine = found == (deployment.id, deployment.green, context.attempts["validate"])
    if mine and (report["verdict"] == "pass" or (report["verdict"] == "inconclusive" and output.get("approved_by"))):
        return ""
    return f"the gate has not passed for {deployment.green}: {report.get('verdict', 'no report')}"


def _open_step_gate(context: StepContext, memory: State) -> GateContext:
    deployment = context.deployment
    made = context.outputs.get("create") or context.outputs.get("recover")
    if not made:
        return open_existing(
            context.services,
            deployment.green,
            deployment.blue,
            deployment.spec,
            memory,
            unknown_is_fine=why_model_may_be_unknown(deployment.plan),
        )
    return open_gate(
        context.services,
        deployment.green,
        deployment.blue,
        deployment.spec,
        source=reading.open_deployment_source(context) if deployment.source else None,
        wanted=made.get("schema"),
        vector=str(made.get("vector", "")),
        plan=_find_green_plan(context, made),
        filled=_filling_evidence(context),
        memory=memory,
        unknown_is_fine=why_model_may_be_unknown(deployment.plan),
    )


def _find_green_plan(context: StepContext, made: State) -> VectorPlan:
    """A restored collection was filled by no plan of its own: its stamp says what made its vectors."""
    if "create" in context.outputs:
        return read_plan(context.deployment.spec, made)
    return existing_plan(context.services, context.deployment.green, context.deployment.spec)


def _filling_evidence(context: StepContext) -> State:
    """What ``populate`` looked at long ago is no evidence for a gate that is run again."""
    filled = context.outputs.get("populate") or context.outputs["recover"]["filled"]
    return filled if context.attempt == 1 else {name: value for name, value in filled.items() if name != "looks"}


def _outcome_of_report(report: State) -> Outcome:
    output = {
        "gate": report,
        "summary": "; ".join([report["verdict"], *report["unchecked"]]),
    }
    if report["verdict"] == "block":
        return Reject(gate.describe_reasons(report), output)
    if report["verdict"] == "inconclusive":
        return Hold(f"the gate cannot tell: {gate.describe_reasons(report)}", output)
    return Done(output)
