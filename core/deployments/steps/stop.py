"""Ends a plan that tries green out and does not switch: blue answers all searches, and green is
kept or dropped."""

from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, StepContext
from qdrant_rollouts.core.deployments.steps import collections, shift


def stop_trial(context: StepContext) -> Outcome:
    """Takes green out of the route, and waits until every running search process reports that it
    serves the new route. Then drops green if the plan says `keep: false` and this deployment made
    it. Safe to run twice."""
    cleared = shift.shift_back(context)
    if not isinstance(cleared, Done):
        return cleared
    if not context.arguments.get("keep", True):
        return collections.drop_green(context)
    return Done(StepOutput(summary=f"{context.deployment.green} is kept"))
