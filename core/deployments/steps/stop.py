"""The end of a plan that tries green out and does not switch: searches are left to blue, green is
kept or dropped."""

from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, StepContext
from qdrant_rollouts.core.deployments.steps import collections, shift


def stop_trial(context: StepContext) -> Outcome:
    """Takes green out of the route, waits until every search process that lives says so, and then
    drops green where the plan says `keep: false` and this deployment made it. Safe to run twice: a
    route at rest stays so, gone is done."""
    cleared = shift.shift_back(context)
    if not isinstance(cleared, Done):
        return cleared
    if not context.arguments.get("keep", True):
        return collections.drop_green(context)
    return Done(StepOutput(summary=f"{context.deployment.green} is kept"))
