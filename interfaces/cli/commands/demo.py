"""``rollouts demo``."""

import click

from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import verb
from qdrant_rollouts.interfaces.demo import run_story


@click.command()
@verb
def run_demo() -> int:
    """Builds, replaces and protects an index of real text; needs no server."""
    return run_story(screen.make_console())
