"""``rollouts schedule resume``."""

import click

from qdrant_rollouts.core.operations.schedules import commands
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb
from qdrant_rollouts.interfaces.cli.schedule_tables import print_schedules


@click.command()
@click.argument("alias")
@click.argument("action", required=False)
@reason_option
@json_option
@verb
def resume_schedules(alias: str, action: str | None, reason: str, as_json: bool) -> int:
    """Continues at the next time; missed times are not run later."""
    with open_services(needs="place") as context:
        for one in [action] if action else commands.list_actions(context.services, alias):
            commands.resume_schedule(context.services, alias, one, actor=actor(), reason=reason)
        return print_schedules(context, alias, 1, as_json)
