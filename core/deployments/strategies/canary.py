"""Build and judge green, then give it more and more of the searches while what they experienced allows it."""

from dataclasses import replace

from qdrant_rollouts.core.config.index_file import IndexSpec, Stage
from qdrant_rollouts.core.deployments.plan import Plan, Step
from qdrant_rollouts.core.deployments.steps import STEPS


def plan_canary(spec: IndexSpec, *, existing: bool = False) -> Plan:
    build = () if existing else (STEPS["create"], STEPS["populate"])
    stages = tuple(_plan_stage(stage, spec) for stage in spec.canary.stages)
    return (*build, STEPS["validate"], *stages, STEPS["switch"], STEPS["soak"])


def _plan_stage(stage: Stage, spec: IndexSpec) -> Step:
    """Probes need the model, which only the bulk workers load."""
    queue = "bulk" if spec.canary.probing else "control"
    return replace(STEPS["shift"], arguments=stage.model_dump(mode="json"), queue=queue)
