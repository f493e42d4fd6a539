"""``demo``."""

from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.demo import run


def demo() -> int:
    return run(screen.console())
