"""``rollouts schedule set``."""

from collections.abc import Sequence

import click

from qdrant_rollouts.core.operations.schedules import commands
from qdrant_rollouts.interfaces.cli.options import (
    json_option,
    parse_options,
    reason_option,
    settings_option,
)
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb
from qdrant_rollouts.interfaces.cli.schedule_tables import print_schedules


@click.command()
@click.argument("alias")
@click.argument("action")
@click.option("--cron", metavar="LINE", help='Five fields, minute first, such as "0 2 * * *".')
@click.option("--zone", metavar="NAME", help="The time zone: UTC, Europe/Berlin, …")
@settings_option("misfire=skip")
@reason_option
@json_option
@verb
def change_schedule(
    alias: str,
    action: str,
    cron: str | None,
    zone: str | None,
    options: Sequence[str],
    reason: str,
    as_json: bool,
) -> int:
    """Changes or creates the schedule of ACTION on ALIAS."""
    named = {key: value for key, value in (("cron", cron), ("zone", zone)) if value is not None}
    wanted = {**parse_options(options), **named}
    with open_services(needs="place") as context:
        commands.change_schedule(
            context.services, alias, action, wanted, actor=actor(), reason=reason
        )
        return print_schedules(context, alias, 1, as_json)
