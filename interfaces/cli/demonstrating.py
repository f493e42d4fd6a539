"""``demo``."""

from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.demo import run_story


def run_demo() -> int:
    return run_story(screen.make_console())
