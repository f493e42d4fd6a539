"""``rollouts alias switch``."""

import click

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb
from qdrant_rollouts.interfaces.cli.screen import print_answer


@click.command()
@click.argument("alias")
@click.argument("collection")
@click.option(
    "--delete-old", is_flag=True, help="Delete the old collection later, by the rules of the index."
)
@reason_option
@json_option
@verb
def switch_alias(alias: str, collection: str, delete_old: bool, reason: str, as_json: bool) -> int:
    """Points an existing ALIAS to another COLLECTION, in one request."""
    with open_services(needs="store") as context:
        answer = commands.switch_alias(
            context.services, alias, collection, delete_old=delete_old, reason=reason, actor=actor()
        )
    was = ", as it was"
    if answer["switched"]:
        was = f", was {answer['old_collection']}"
    words = f"{alias} → {collection}{was}"
    if deletion := answer.get("deletion"):
        words += "\n" + (
            deletion.get("text") or f"{answer['old_collection']} stays: {deletion['reason']}"
        )
    print_answer(answer, words, as_json)
    return DONE
