"""``rollouts experiment plan``."""

from collections.abc import Sequence

import click

from qdrant_rollouts.core.experiments import planning
from qdrant_rollouts.interfaces.cli import forecast, screen
from qdrant_rollouts.interfaces.cli.experiment_options import (
    experiment_options,
    merge_options,
    parse_metric_options,
)
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@click.argument("alias")
@experiment_options
@click.option(
    "--target",
    type=float,
    metavar="SHARE",
    help="The smallest effect worth finding; by default 0.1, which is 10 %.",
)
@click.option(
    "--rate",
    type=float,
    help="By hand: the primary metric now, a share of users or, with --deviation, a mean.",
)
@click.option(
    "--deviation",
    type=float,
    help="By hand: how far users differ in the primary metric (one sigma).",
)
@click.option("--users-per-day", type=float, help="By hand: new users per day.")
@json_option
@verb
def plan_experiment(
    alias: str,
    metrics: Sequence[str],
    split: float,
    coverage: float | None,
    options: Sequence[str],
    target: float | None,
    rate: float | None,
    deviation: float | None,
    users_per_day: float | None,
    as_json: bool,
) -> int:
    """Computes how many users and days an experiment on ALIAS needs."""
    given = planning.GivenFigures(rate, deviation, users_per_day)
    wanted = merge_options(options, coverage, target=target)
    with open_for_reading(store=True) as context:
        seen = planning.plan_experiment(
            context.services,
            alias,
            given,
            split=split,
            metrics=parse_metric_options(metrics),
            options=wanted,
        )
    if as_json:
        screen.print_json(seen)
    else:
        screen.make_console().print(forecast.render_plan(seen))
    return DONE
