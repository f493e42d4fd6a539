"""``rollouts alias create``."""

import click

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb
from qdrant_rollouts.interfaces.cli.screen import print_answer


@click.command()
@click.argument("alias")
@click.argument("collection")
@click.option("--force", is_flag=True, help="Move the alias if it points elsewhere.")
@reason_option
@json_option
@verb
def create_alias(alias: str, collection: str, force: bool, reason: str, as_json: bool) -> int:
    """Points a new ALIAS to COLLECTION."""
    with open_services(needs="store") as context:
        answer = commands.create_alias(
            context.services, alias, collection, force=force, reason=reason, actor=actor()
        )
    print_answer(
        answer, f"{alias} → {collection}" + ("" if answer["created"] else ", as it was"), as_json
    )
    return DONE
