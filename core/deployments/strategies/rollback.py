"""Back to a version that is still there: nothing is built, so there is nothing to fill or judge."""

from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS


def plan_rollback() -> Plan:
    return (STEPS["switch"],)
