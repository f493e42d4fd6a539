"""The strategies people may ask for; each is a function that returns one tuple of steps.

``existing`` says that green is there already: then nothing is built, and nothing is dropped if it
fails.
"""

from typing import Protocol

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan, why_model_may_be_unknown
from qdrant_rollouts.core.deployments.strategies import blue_green, canary


class Strategy(Protocol):
    def __call__(self, spec: IndexSpec, *, existing: bool = False) -> Plan: ...


STRATEGIES: dict[str, Strategy] = {
    "blue_green": blue_green.plan_blue_green,
    "canary": canary.plan_canary,
}


def why_live_model_may_be_unknown(spec: IndexSpec) -> str:
    """``why_model_may_be_unknown`` of the strategy that ``spec`` names; nothing where there is no
    such strategy."""
    strategy = STRATEGIES.get(spec.strategy)
    return why_model_may_be_unknown(step.name for step in strategy(spec)) if strategy else ""
