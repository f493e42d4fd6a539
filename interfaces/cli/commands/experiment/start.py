"""``rollouts experiment start``."""

import click

from qdrant_rollouts.core.experiments import commands
from qdrant_rollouts.interfaces.cli.experiment_screen import print_experiment
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb


@click.command()
@click.argument("experiment")
@reason_option
@json_option
@verb
def start_experiment(experiment: str, reason: str, as_json: bool) -> int:
    """Starts a draft: the searches of its alias are split from now on."""
    with open_services(needs="rows") as context:
        return print_experiment(
            context,
            commands.start_experiment(context.services, experiment, actor=actor(), reason=reason),
            as_json,
        )
