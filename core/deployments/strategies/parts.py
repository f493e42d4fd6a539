"""Parts that strategies share: how green is built and judged, and how the alias moves to it."""

from dataclasses import replace

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan, Step
from qdrant_rollouts.core.deployments.steps import STEPS


def plan_building(spec: IndexSpec, *, existing: bool) -> Plan:
    """Plans the steps that make and judge green, and give it what was written meanwhile.
    ``existing``: green exists already. If it follows the live collection, it is judged as it will
    serve, so it first gets what was written since it was built."""
    if existing and not spec.writes.follows:
        return (STEPS["validate"],)
    if existing:
        return (STEPS["catch_up"], STEPS["validate"])
    return (STEPS["create"], STEPS["populate"], STEPS["validate"], _plan_catching_up(spec))


def plan_switching(spec: IndexSpec) -> Plan:
    """Plans how the alias moves, and the watch after it. If the last writes are brought over at the
    switch, that needs the model, which only bulk workers load."""
    if not spec.writes.leads_live:
        return (STEPS["switch"], STEPS["soak"])
    return (replace(STEPS["switch"], queue="bulk"), STEPS["soak"])


def _plan_catching_up(spec: IndexSpec) -> Step:
    if spec.writes.follows:
        return STEPS["catch_up"]
    return replace(STEPS["catch_up"], skipped="writes: none")
