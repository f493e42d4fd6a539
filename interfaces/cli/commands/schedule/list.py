"""``rollouts schedule list``."""

import click

from qdrant_rollouts.interfaces.cli.options import json_option, limit_option
from qdrant_rollouts.interfaces.cli.running import open_for_reading, verb
from qdrant_rollouts.interfaces.cli.schedule_tables import print_schedules


@click.command()
@click.option("--alias", help="Only those of this index.")
@limit_option(3, "How many runs of each.")
@json_option
@verb
def show_schedules(alias: str | None, limit: int, as_json: bool) -> int:
    """Lists schedules with their next times and last runs."""
    with open_for_reading() as context:
        return print_schedules(context, alias, limit, as_json)
