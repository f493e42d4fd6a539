"""``rollouts promote``."""

import click

from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.interfaces.cli.operator_requests import send_request
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import verb


@click.command()
@click.argument("deployment_id")
@click.option(
    "--full",
    is_flag=True,
    help="Past every stage and watch that is left; needs a reason, skips no gate.",
)
@reason_option
@json_option
@verb
def promote_deployment(deployment_id: str, full: bool, reason: str, as_json: bool) -> int:
    """Approves what waits for a person, or ends a stage or a pause.

    Honoured between two turns of the deployment.
    """
    return send_request(
        Event.PROMOTE_FULL if full else Event.PROMOTE, deployment_id, reason, as_json
    )
