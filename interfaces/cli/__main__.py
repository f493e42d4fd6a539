"""``python -m interfaces.cli``."""

from interfaces.cli import main

main(prog_name="rollouts")
