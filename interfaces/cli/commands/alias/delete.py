"""``rollouts alias delete``."""

import click

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb
from qdrant_rollouts.interfaces.cli.screen import print_answer


@click.command()
@click.argument("alias")
@reason_option
@json_option
@verb
def delete_alias(alias: str, reason: str, as_json: bool) -> int:
    """Deletes ALIAS; the collection behind it stays."""
    with open_services(needs="store") as context:
        answer = commands.delete_alias(context.services, alias, reason=reason, actor=actor())
    print_answer(
        answer, f"{alias} removed" if answer["deleted"] else f"{alias} was removed before", as_json
    )
    return DONE
