"""The plan of a rollback to a version that still exists. Nothing is built, so nothing is filled or
judged."""

from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS


def plan_rollback() -> Plan:
    return (STEPS["switch"],)
