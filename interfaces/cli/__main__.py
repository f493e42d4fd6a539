"""``python -m qdrant_rollouts.interfaces.cli``."""

from qdrant_rollouts.interfaces.cli import main

main(prog_name="rollouts")
