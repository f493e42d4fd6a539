"""Builds and judges green beside blue and keeps it, for an experiment or for a later deployment of
that collection; the alias does not move."""

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.strategies.parts import plan_building


def plan_build_only(spec: IndexSpec, *, existing: bool = False) -> Plan:
    return (*plan_building(spec, existing=existing), STEPS["stop"])
