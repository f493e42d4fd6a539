"""The strategies that people can choose. Each is a function that returns one tuple of steps.

``existing``: green exists already. Then no step builds it, and no undo drops it.
"""

from typing import Protocol

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan, why_model_may_be_unknown
from qdrant_rollouts.core.deployments.strategies import blue_green, build_only, canary


class Strategy(Protocol):
    def __call__(self, spec: IndexSpec, *, existing: bool = False) -> Plan: ...


STRATEGIES: dict[str, Strategy] = {
    "blue_green": blue_green.plan_blue_green,
    "canary": canary.plan_canary,
    "build_only": build_only.plan_build_only,
}


def why_live_model_may_be_unknown(spec: IndexSpec) -> str:
    """Returns ``why_model_may_be_unknown`` for the strategy that ``spec`` names; nothing if there
    is no such strategy."""
    strategy = STRATEGIES.get(spec.strategy)
    if not strategy:
        return ""
    return why_model_may_be_unknown(step.name for step in strategy(spec))
