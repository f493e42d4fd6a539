"""``rollouts schedule run``."""

import click

from qdrant_rollouts.core.operations.schedules import commands, queries
from qdrant_rollouts.core.ports.naming import shell_word
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb
from qdrant_rollouts.interfaces.embedded import running_elsewhere

_NOBODY = "it does not run until `rollouts up` is started"
_SOON = "it begins within ten seconds; `rollouts schedule list --alias {alias}` shows its result"


@click.command()
@click.argument("alias")
@click.argument("action")
@reason_option
@json_option
@verb
def run_schedule(alias: str, action: str, reason: str, as_json: bool) -> int:
    """Runs ACTION (rebuild, verify, backup) on ALIAS now."""
    with open_services(starts=True, needs="place") as context:
        asked = commands.run_schedule(context.services, alias, action, actor=actor(), reason=reason)
        seen = queries.get_schedule_run(context.services, asked)
        nobody = context.runner is not None and running_elsewhere() is None
    screen.print_note(_NOBODY if nobody else _SOON.format(alias=shell_word(alias)))
    if as_json:
        screen.print_json({"alias": alias, "action": action, **seen})
    return DONE
