"""A strategy that the product does not have, as its users write one: green is built, judged and
asked in shadow, and then let go. It does not end in a switch."""

from dataclasses import replace

from qdrant_rollouts.core.config.index_file import IndexSpec, Stage
from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS
from tests.world import World


def plan_shadow_only(
    spec: IndexSpec, *, keep: bool, minutes: float = 2, existing: bool = False
) -> Plan:
    """``keep`` says what becomes of green."""
    build = () if existing else (STEPS["create"], STEPS["populate"])
    stage = Stage(percentage=0, duration_minutes=minutes, shadow=True)
    shadow = replace(STEPS["shift"], arguments=stage.model_dump(mode="json"))
    return (*build, STEPS["validate"], shadow, replace(STEPS["stop"], arguments={"keep": keep}))


def build_version(world: World, alias: str) -> str:
    """Builds another version of ``alias`` from what it serves; returns its collection."""
    deployment = world.deploy(alias, strategy="build_only")
    world.run()
    status = world.status(deployment)
    assert status["status"] == "completed", status["message"]
    return str(status["green"])


def begin_plan(world: World, alias: str, plan: Plan, collection: str | None = None) -> str:
    """Begins a deployment of the declared index by ``plan``; returns its id."""
    spec = world.indexes[alias]
    assert spec.source is not None
    return commands.begin_deployment(
        world.services,
        alias,
        spec.model_copy(update={"strategy": "shadow_only"}),
        plan,
        blue=world.store.aliases().get(alias),
        actor="anna",
        source=None if collection else world.services.source(spec.source).address,
        existing=collection,
    )
