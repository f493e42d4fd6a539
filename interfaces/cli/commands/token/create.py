"""``rollouts token create``."""

from collections.abc import Sequence

import click
from rich.text import Text

from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb


@click.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="What the token may do; repeatable."
)
@reason_option
@json_option
@verb
def create_token(name: str, scopes: Sequence[str], reason: str, as_json: bool) -> int:
    """Creates the token NAME and shows it once."""
    with open_services() as context:
        made = tokens.create_token(context.services, name, scopes, actor=actor(), reason=reason)
    if as_json:
        screen.print_json(made)
        return DONE
    screen.print_note("the token is shown only this once; keep it where you keep secrets")
    screen.make_console().print(Text(made["token"]), soft_wrap=True)
    return DONE
