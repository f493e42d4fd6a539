"""``demo``."""

from interfaces.cli import screen
from interfaces.demo import run


def demo() -> int:
    return run(screen.console())
