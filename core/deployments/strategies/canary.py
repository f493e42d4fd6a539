"""Builds and judges green, then gives it a growing share of the searches, as long as their results
allow it."""

from dataclasses import replace

from qdrant_rollouts.core.config.index_file import IndexSpec, Stage
from qdrant_rollouts.core.deployments.plan import Plan, Step
from qdrant_rollouts.core.deployments.steps import STEPS
from qdrant_rollouts.core.deployments.strategies.parts import plan_building, plan_switching


def plan_canary(spec: IndexSpec, *, existing: bool = False) -> Plan:
    stages = tuple(_plan_stage(stage, spec) for stage in spec.canary.stages)
    return (*plan_building(spec, existing=existing), *stages, *plan_switching(spec))


def _plan_stage(stage: Stage, spec: IndexSpec) -> Step:
    """Returns the step of one stage. Probes need the model, which only bulk workers load."""
    queue = "control"
    if spec.canary.probing:
        queue = "bulk"
    return replace(STEPS["shift"], arguments=stage.model_dump(mode="json"), queue=queue)
