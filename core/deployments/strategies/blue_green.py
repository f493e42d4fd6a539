"""Builds green beside blue, fills it, judges it, switches the alias in one act, and watches."""

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.strategies.parts import plan_building, plan_switching


def plan_blue_green(spec: IndexSpec, *, existing: bool = False) -> Plan:
    return (*plan_building(spec, existing=existing), *plan_switching(spec))
