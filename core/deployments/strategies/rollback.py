"""The plan of a rollback to a version that still exists. Nothing is built, so nothing is filled or
judged."""

from dataclasses import replace

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.steps import STEPS


def plan_rollback(spec: IndexSpec, *, now: bool) -> Plan:
    """Plans how the alias returns. If the live collection is the truth, the older version gets what
    was written since. ``now``: the alias moves first, and what stays behind is listed."""
    if not spec.writes.leads_live:
        return (STEPS["switch"],)
    if now:
        return (STEPS["switch"], replace(STEPS["catch_up"], arguments={"lists": True}))
    return (STEPS["catch_up"], replace(STEPS["switch"], queue="bulk"))
