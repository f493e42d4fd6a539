"""``web`` and ``token``: declared here; what they do stands in ``webbing`` and ``tokening``."""

from collections.abc import Callable
from typing import Any

import click

from qdrant_rollouts.interfaces.cli.calling import Command, InOrder, as_json, reason, verb


def serve_options(at: int = 8600) -> Callable[[Command], Command]:
    """``--host`` and ``--port`` of a verb that serves by HTTP."""
    host = click.option(
        "--host", default="127.0.0.1", metavar="ADDRESS", show_default=True, help="Anything but loopback needs a token."
    )
    port = click.option(
        "--port", type=click.IntRange(0, 65535), default=at, show_default=True, help="0 takes any that is free."
    )
    return lambda command: host(port(command))


@click.command()
@serve_options()
@as_json
def web(**given: Any) -> None:
    """The HTTP API, beside workers that run elsewhere."""
    verb("webbing.serve_web", **given)


@click.group(cls=InOrder)
def token() -> None:
    """Who may ask by HTTP, and what.

    Scopes: read, search, feedback, deploy (with read), admin (all of them).
    """


@token.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What it may do; repeatable.")
@reason
@as_json
def create(**given: Any) -> None:
    """Makes the token NAME and shows it, this once."""
    verb("tokening.create_token", **given)


@token.command("list")
@as_json
def list_tokens(**given: Any) -> None:
    """Every token: scopes, who made it, when it was last used."""
    verb("lists.tokens.show_tokens", **given)


@token.command()
@click.argument("name")
@reason
@as_json
def revoke(**given: Any) -> None:
    """Refuses the token NAME from now on, and ends its sessions."""
    verb("tokening.revoke_token", **given)
