"""``rollouts adopt``."""

import click
from rich.text import Text

from qdrant_rollouts.core.deployments.commands import adoption
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb


@click.command()
@click.argument("alias")
@click.option(
    "--collection", metavar="NAME", help="Another collection than the one behind the alias."
)
@click.option(
    "--trust",
    is_flag=True,
    help="Accept the declared model even if it makes other vectors than the stored ones.",
)
@reason_option
@json_option
@verb
def adopt_alias(alias: str, collection: str | None, trust: bool, reason: str, as_json: bool) -> int:
    """Takes the collection behind ALIAS under management.

    It records a version and the model that made it, and changes no point. The model is the one of
    the index file; it is compared with the stored vectors.
    """
    with open_services(needs="store") as context:
        answer = adoption.adopt_collection(
            context.services,
            alias,
            actor=actor(),
            reason=reason,
            collection=collection,
            trust=trust,
        )
    if as_json:
        screen.print_json(answer)
        return DONE
    agreed = answer["agreed"]
    told = ""
    if agreed:
        told = f", {agreed['alike']} of {agreed['of']} records agree"
    model = "no model is declared for it"
    if answer["model"]:
        model = f"made with {answer['model']}{told}"
    screen.make_console().print(
        Text(f"{answer['collection']} is version {answer['number']} of {alias}; {model}")
    )
    return DONE
