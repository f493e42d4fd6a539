"""``rollouts keep``."""

import click

from qdrant_rollouts.core.collections.deletion import retention_policy
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import DONE, actor, open_services, verb
from qdrant_rollouts.interfaces.cli.screen import print_answer


@click.command()
@click.argument("collection")
@reason_option
@json_option
@verb
def keep_collection(collection: str, reason: str, as_json: bool) -> int:
    """Cancels the deletion of COLLECTION permanently."""
    with open_services(needs="rows") as context:
        answer = retention_policy.keep_collection(
            context.services, collection, actor=actor(), reason=reason
        )
    print_answer(answer, f"{collection} is kept", as_json)
    return DONE
