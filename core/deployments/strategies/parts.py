"""What strategies have in common: how green is made and judged, and how the alias is moved to
it."""

from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS


def plan_building(*, existing: bool) -> Plan:
    """``existing``: green is there already, so it is only judged."""
    build = () if existing else (STEPS["create"], STEPS["populate"])
    return (*build, STEPS["validate"])


def plan_switching() -> Plan:
    return (STEPS["switch"], STEPS["soak"])
