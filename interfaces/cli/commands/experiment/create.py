"""``rollouts experiment create``."""

from collections.abc import Sequence

import click

from qdrant_rollouts.core.experiments import commands
from qdrant_rollouts.interfaces.cli.experiment_options import (
    experiment_options,
    merge_options,
    parse_metric_options,
)
from qdrant_rollouts.interfaces.cli.experiment_screen import print_experiment
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb


@click.command()
@click.argument("name")
@click.option(
    "--control", required=True, metavar="COLLECTION", help="The collection that serves now."
)
@click.option(
    "--treatment",
    "treatments",
    required=True,
    multiple=True,
    metavar="COLLECTION",
    help="A collection to compare with it; repeatable.",
)
@click.option(
    "--alias",
    help="The alias whose searches are split; by default the one that leads to the control.",
)
@experiment_options
@click.option(
    "--mode",
    type=click.Choice(["ab", "interleave"]),
    help="interleave: one list is made from both.",
)
@click.option(
    "--on-ship",
    type=click.Choice(["nothing", "canary", "switch"]),
    help="What starts if a treatment wins.",
)
@click.option("--draft", is_flag=True, help="Create it now, start it later.")
@reason_option
@json_option
@verb
def create_experiment(
    name: str,
    control: str,
    treatments: Sequence[str],
    alias: str | None,
    metrics: Sequence[str],
    split: float,
    coverage: float | None,
    options: Sequence[str],
    mode: str | None,
    on_ship: str | None,
    draft: bool,
    reason: str,
    as_json: bool,
) -> int:
    """Creates the experiment NAME and starts it."""
    wanted = merge_options(options, coverage, mode=mode, on_ship=on_ship)
    with open_services(needs="store") as context:
        created = commands.create_experiment(
            context.services,
            name,
            control,
            treatments,
            actor=actor(),
            alias=alias,
            split=split,
            metrics=parse_metric_options(metrics),
            options=wanted,
            start=not draft,
            reason=reason,
        )
        return print_experiment(context, created, as_json)
