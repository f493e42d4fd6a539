"""Which way a deployment moves its alias."""

from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.data import Judged


def goes_back(context: StepContext) -> bool:
    """Returns whether the alias returns to an older version, as a rollback does it. Only such a
    plan has no gate. Whoever goes back waits for little, and is asked for little."""
    return not context.outputs.has_step_for(Judged)
