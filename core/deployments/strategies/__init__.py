"""The strategies people may ask for; each is a function that returns one tuple of steps.

``existing`` says that green is there already: then nothing is built, and nothing is dropped if it fails.
"""

from typing import Protocol

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.deployments.plan import Plan
from qdrant_rollouts.core.deployments.strategies import blue_green, canary


class Strategy(Protocol):
    def __call__(self, spec: IndexSpec, *, existing: bool = False) -> Plan: ...


STRATEGIES: dict[str, Strategy] = {
    "blue_green": blue_green.plan_blue_green,
    "canary": canary.plan_canary,
}
