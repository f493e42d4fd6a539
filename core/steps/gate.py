"""The gate as a step: judge green, keep the report, and say what it means for the deployment."""

from core import gate
from core.plan import Done, Hold, Outcome, Reject, StepContext


def run(context: StepContext) -> Outcome:
    """Safe to run twice: it only looks."""
    deployment, services = context.deployment, context.services
    embedding = deployment.spec.embedding
    report = gate.examine(
        services.store,
        deployment.green,
        blue=deployment.blue,
        spec=deployment.spec,
        wanted=context.outputs["create"].get("schema"),
        vector=str(context.outputs["create"].get("vector", "")),
        embedder=services.embedder(embedding) if embedding else None,
        filled=context.outputs["populate"],
    )
    output = {"gate": {**report, "deployment": deployment.id}, "summary": _summary(report["warnings"])}
    if report["verdict"] == "block":
        return Reject(gate.reasons(report), output)
    if report["verdict"] == "inconclusive":
        return Hold(f"the gate cannot tell: {gate.reasons(report)}", output)
    return Done(output)


def shut(context: StepContext) -> str:
    """Why the switch may not happen, or nothing. A verdict opens only for the deployment and collection it was made
    of; a plan without a gate (a rollback) has none to ask."""
    if "validate" not in context.outputs:
        return ""
    output = context.outputs["validate"]
    report = output.get("gate", {})
    mine = report.get("deployment") == context.deployment.id and report.get("collection") == context.deployment.green
    if mine and (report.get("verdict") == "pass" or output.get("approved_by")):
        return ""
    return f"the gate has not passed for {context.deployment.green}: {report.get('verdict', 'no report')}"


def _summary(warnings: list[str]) -> str:
    return "; ".join(["pass", *warnings])
