"""What stopped a run: the step that failed, and the check that decided. The message says why
(``core.deployments.end_messages``)."""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.answers.deployments import Check, Deployment, Step
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.gate.reasons import list_failed_checks
from qdrant_rollouts.core.lifecycle import StepStatus


def find_deciding_check(gate: Mapping[str, Any] | None) -> Check | None:
    """Returns the check because of which the gate did not pass; None if it passed."""
    if gate is None or gate["verdict"] == "pass":
        return None
    return next(iter(list_failed_checks(gate)), None)


def find_failed_step(told: Deployment) -> Step | None:
    return next((step for step in told["steps"] if step["status"] == StepStatus.FAILED), None)


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
