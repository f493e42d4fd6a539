"""``rollouts experiment stop``."""

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
def stop_experiment(experiment: str, reason: str, as_json: bool) -> int:
    """Ends EXPERIMENT: the control answers all users.

    The data are kept, and feedback counts until each user's window is over.
    """
    with open_services(needs="rows") as context:
        return print_experiment(
            context,
            commands.stop_experiment(context.services, experiment, actor=actor(), reason=reason),
            as_json,
        )
