"""Why a run stopped: the step that failed, the check that decided, and the cause in words."""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.answers.deployments import Check, Deployment, Step
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.lifecycle import StepStatus
from qdrant_rollouts.core.operations.views.overview.acts import label_step

#: Between the cause and what serves, in the message of a run that was rolled back.
_ROLLED_BACK = ". Rolled back: "
#: How the message of a run begins of which an undo gave up.
UNDO = "undo of "


def find_deciding_check(gate: Mapping[str, Any] | None) -> Check | None:
    """Returns the first check because of which the gate did not pass; None if it passed. A soft
    check blocks nothing, but it holds a deployment as a hard one does."""
    if gate is None or gate["verdict"] == "pass":
        return None
    deciding = [check for check in gate["checks"] if check.get("level", "hard") != "shown"]
    for verdict in ("block", "inconclusive"):
        for check in deciding:
            if check["verdict"] == verdict:
                found: Check = check
                return found
    return None


def find_failed_step(told: Deployment) -> Step | None:
    return next((step for step in told["steps"] if step["status"] == StepStatus.FAILED), None)


def find_cause(told: Deployment) -> str:
    """Returns the cause as a part of a sentence: the failed step's words, or who aborted it."""
    failed = find_failed_step(told)
    if failed is not None:
        label = label_step(failed["name"], failed["arguments"])
        return f"{label} failed: {failed['message'].rstrip('.')}"
    cause = told["message"].partition(_ROLLED_BACK)[0].rstrip(".")
    if cause.startswith("aborted"):
        return f"it was {cause}"
    return cause or "it was stopped"


def describe_failure(told: Deployment) -> str:
    """Returns the cause; of a gate only the check that decided, because its report is long."""
    check = find_deciding_check(told["gate"])
    if check is None or not was_stopped_by_gate(told):
        return find_cause(told)
    return f"the gate stopped it, because of {check['name']}. {say_check(check)}"


def find_advice(told: Deployment) -> str:
    """Returns how a person can mend what the gate found; empty if the gate did not stop it."""
    check = find_deciding_check(told["gate"])
    if check is None or not was_stopped_by_gate(told):
        return ""
    return check.get("act", "")


def say_check(check: Check) -> str:
    """Returns what was found, without the full stop."""
    return (check.get("found") or check["detail"]).rstrip(".")


def was_stopped_by_gate(told: Deployment) -> bool:
    failed = find_failed_step(told)
    return failed is not None and is_judging(failed)


def is_judging(step: Step) -> bool:
    return traits_of(step["name"]).judges


def is_stage(step: Step) -> bool:
    """Returns whether it sends a share of the searches to green."""
    return traits_of(step["name"]).shares_searches


def find_switch_time(told: Deployment) -> str | None:
    """Returns when the alias moved to green; None if it did not."""
    for step in told["steps"]:
        if traits_of(step["name"]).moves_alias and step["status"] == StepStatus.DONE:
            return step["finished_at"]
    return None
