"""The gate as a step: collects evidence in pieces, judges green, and keeps the report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from qdrant_rollouts.core.collections import versions
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.vectors import VectorPlan, read_plan
from qdrant_rollouts.core.deployments.end_messages import CANNOT_TELL
from qdrant_rollouts.core.deployments.plan import (
    Done,
    Hold,
    Outcome,
    Reject,
    StepContext,
    Wait,
    why_model_may_be_unknown,
)
from qdrant_rollouts.core.deployments.steps import comparing, journaled, pieces, reading
from qdrant_rollouts.core.deployments.steps.backup_data import RecoveredGreen
from qdrant_rollouts.core.deployments.steps.data import (
    CaughtUp,
    CreatedGreen,
    GateState,
    Judged,
    MadeGreen,
)
from qdrant_rollouts.core.deployments.steps.followers import apply_changes
from qdrant_rollouts.core.deployments.steps.version_notes import note_facts
from qdrant_rollouts.core.gate import verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.opening import (
    Followed,
    existing_plan,
    open_existing,
    open_gate,
)
from qdrant_rollouts.core.gate.reasons import describe_reasons
from qdrant_rollouts.core.ports import PointId, State


def run_gate(context: StepContext) -> Outcome:
    """Runs the gate. Safe to run twice: a turn that is repeated finds the same again. It writes
    nothing but what is written to blue meanwhile."""
    waits_for_worker = _claim_rounds(context)
    if waits_for_worker is not None:
        return waits_for_worker
    deployment = context.deployment
    state = context.load(GateState)
    judged = _open_step_gate(context, state.memory)  # the collectors write into it
    waits: list[float | None] = []

    def collect(state: GateState, seconds: float) -> tuple[GateState, bool]:
        ends = time.monotonic() + seconds
        waits.append(verdict.collect_evidence(judged, lambda: time.monotonic() >= ends))
        return replace(state, progress=verdict.measure_progress(judged)), waits[-1] == 0

    pieces.work(context, state, collect)
    if waits[-1] is not None:
        return Wait(waits[-1], verdict.describe_progress(judged))
    report = {
        **verdict.build_report(judged),
        "deployment": deployment.id,
        "attempt": context.attempt,
    }
    note_facts(context, versions.facts_of_report(report))
    context.turn.save({})  # the memory can be large, and no later turn reads it
    return _outcome_of_report(report)


def why_gate_shut(context: StepContext) -> str:
    """Returns why the switch is not allowed, or nothing. A verdict allows the switch only for the
    deployment, the collection and the attempt that it judged. A plan without a gate (a rollback)
    has no verdict, and is allowed."""
    if not context.outputs.has_step_for(Judged):
        return ""
    judged = context.outputs.find(Judged) or Judged()
    deployment = context.deployment
    report = judged.gate or {}
    found = report.get("deployment"), report.get("collection"), report.get("attempt")
    mine = found == (deployment.id, deployment.green, context.outputs.attempt_of(Judged))
    if mine and (
        report["verdict"] == "pass" or (report["verdict"] == "inconclusive" and judged.approved_by)
    ):
        return ""
    return f"the gate has not passed for {deployment.green}: {report.get('verdict', 'no report')}"


def _open_step_gate(context: StepContext, memory: State) -> GateContext:
    deployment = context.deployment
    made = context.outputs.find(MadeGreen)
    if made is None:
        return open_existing(
            context.services,
            deployment.green,
            deployment.blue,
            deployment.spec,
            memory,
            unknown_is_fine=why_model_may_be_unknown(deployment.plan),
            followed=_find_followed(context),
        )
    return open_gate(
        context.services,
        deployment.green,
        deployment.blue,
        deployment.spec,
        source=reading.open_deployment_source(context) if deployment.source else None,
        wanted=made.schema,
        vector=made.vector,
        plan=_find_green_plan(context, made),
        filled=_filling_evidence(context),
        memory=memory,
        unknown_is_fine=why_model_may_be_unknown(deployment.plan),
        bring_over=_choose_bringing_over(context),
    )


def _claim_rounds(context: StepContext) -> Outcome | None:
    """Claims the journal's rounds if green follows already. Returns what must be waited for."""
    if context.outputs.find(CaughtUp) is None or not journaled.uses_journal(context):
        return None
    return journaled.claim_rounds(context)


def _find_followed(context: StepContext) -> Followed | None:
    """Returns what green was brought up to, if a step of this plan has done that."""
    caught_up = context.outputs.find(CaughtUp)
    bring_over = _choose_bringing_over(context) if caught_up is not None else None
    if caught_up is None or caught_up.gave_up or bring_over is None:
        return None
    assert context.deployment.blue is not None
    if journaled.has_own_worker(context):  # it has written since; now only this turn may
        count = context.services.store.count(context.deployment.green)
        caught_up = replace(caught_up, expected=count)
    return Followed(context.deployment.blue, caught_up, bring_over)


def _choose_bringing_over(context: StepContext) -> Callable[[Sequence[PointId]], None] | None:
    """Returns what brings single points over, if green follows a collection that is written to. The
    number of points stays as it was, so that the gate can count them."""
    if not context.deployment.spec.writes.leads_live:
        return None
    follower = comparing.open_follower(context)
    journal = journaled.uses_journal(context)

    def bring_over(ids: Sequence[PointId]) -> None:
        context.turn.check(0)
        if journal:
            journaled.bring_over(context, follower, ids)
        else:
            apply_changes(context.services.store, follower, ids, deletes=False)

    return bring_over


def _find_green_plan(context: StepContext, made: MadeGreen) -> VectorPlan:
    """Returns how green's vectors are made. A restored collection was filled by no plan of its own;
    its stamp says what made its vectors."""
    if isinstance(made, CreatedGreen):
        return read_plan(context.deployment.spec, made.vectors, made.vector)
    return existing_plan(context.services, context.deployment.green, context.deployment.spec)


def _filling_evidence(context: StepContext) -> Filling:
    """Returns what is known about the filling of green; it is empty if no step filled green."""
    recovered = context.outputs.find(RecoveredGreen)
    filled = context.outputs.find(Filling) or (recovered.filled if recovered else Filling())
    if context.attempt == 1:
        return filled
    return filled.without_looks()


def _outcome_of_report(report: State) -> Outcome:
    output = Judged(gate=report, summary="; ".join([report["verdict"], *report["unchecked"]]))
    if report["verdict"] == "block":
        return Reject(describe_reasons(report), output)
    if report["verdict"] == "inconclusive":
        return Hold(f"{CANNOT_TELL}{describe_reasons(report)}", output)
    return Done(output)
