"""Build green beside blue, fill it, judge it, switch in one act, watch."""

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS


def plan_blue_green(spec: IndexSpec, *, existing: bool = False) -> Plan:
    build = () if existing else (STEPS["create"], STEPS["populate"])
    return (*build, STEPS["validate"], STEPS["switch"], STEPS["soak"])
