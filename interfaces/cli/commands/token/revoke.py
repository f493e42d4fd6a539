"""``rollouts token revoke``."""

import click

from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb
from qdrant_rollouts.interfaces.cli.screen import print_answer


@click.command()
@click.argument("name")
@reason_option
@json_option
@verb
def revoke_token(name: str, reason: str, as_json: bool) -> int:
    """Refuses the token NAME from now on, and ends its sessions."""
    with open_services(needs="rows") as context:
        answer = tokens.revoke_token(context.services, name, actor=actor(), reason=reason)
    print_answer(answer, f"{name} is revoked", as_json)
    return DONE
