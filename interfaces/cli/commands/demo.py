"""``rollouts demo``."""

import click

from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import verb
from qdrant_rollouts.interfaces.demo import run_story


@click.command()
@verb
def run_demo() -> int:
    """Runs the main job on real text, from start to end."""
    return run_story(screen.make_console())
