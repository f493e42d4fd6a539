"""Parts that strategies share: how green is built and judged, and how the alias moves to it."""

from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS


def plan_building(*, existing: bool) -> Plan:
    """Plans the steps that make and judge green. ``existing``: green exists already, so it is only
    judged."""
    build = () if existing else (STEPS["create"], STEPS["populate"])
    return (*build, STEPS["validate"])


def plan_switching() -> Plan:
    return (STEPS["switch"], STEPS["soak"])
