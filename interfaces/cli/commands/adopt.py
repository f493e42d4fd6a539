"""``rollouts adopt``."""

import click
from rich.text import Text

from qdrant_rollouts.core.deployments.commands import adoption
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb


@click.command()
@click.argument("alias")
@click.option("--collection", metavar="NAME", help="Another than the one the alias points to.")
@click.option(
    "--trust",
    is_flag=True,
    help="Take the declared model though it makes other vectors than are stored.",
)
@reason_option
@json_option
@verb
def adopt_alias(alias: str, collection: str | None, trust: bool, reason: str, as_json: bool) -> int:
    """Takes what ALIAS points to under management.

    Writes down a version and which model made it; no point is touched. The model is the index
    file's; it is compared with what the collection has stored.
    """
    with open_services(needs="store") as house:
        answer = adoption.adopt_collection(
            house.services, alias, actor=actor(), reason=reason, collection=collection, trust=trust
        )
    if as_json:
        screen.print_json(answer)
        return DONE
    agreed = answer["agreed"]
    told = f", {agreed['alike']} of {agreed['of']} records agree" if agreed else ""
    model = (
        f"made with {answer['model']}{told}" if answer["model"] else "no model is declared for it"
    )
    screen.make_console().print(
        Text(f"{answer['collection']} is version {answer['number']} of {alias}; {model}")
    )
    return DONE
