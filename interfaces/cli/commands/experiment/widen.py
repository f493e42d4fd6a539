"""``rollouts experiment widen``."""

import click

from qdrant_rollouts.core.experiments import commands
from qdrant_rollouts.core.statistics.assignment import share_of
from qdrant_rollouts.interfaces.cli.experiment_screen import print_experiment
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb


@click.command()
@click.argument("experiment")
@click.option(
    "--coverage",
    type=float,
    required=True,
    metavar="PERCENT",
    help="The share of all users; more than now.",
)
@reason_option
@json_option
@verb
def widen_experiment(experiment: str, coverage: float, reason: str, as_json: bool) -> int:
    """Lets more users take part; no user changes collection."""
    with open_services(needs="rows") as context:
        widened = commands.widen_experiment(
            context.services, experiment, share_of(coverage), actor=actor(), reason=reason
        )
        return print_experiment(context, widened, as_json)
