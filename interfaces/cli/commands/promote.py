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
    help="Skip every remaining stage and watch; needs a reason, skips no gate.",
)
@reason_option
@json_option
@verb
def promote_deployment(deployment_id: str, full: bool, reason: str, as_json: bool) -> int:
    """Approves a held deployment, or ends a stage or a pause.

    Takes effect between two turns of the deployment.
    """
    return send_request(
        Event.PROMOTE_FULL if full else Event.PROMOTE, deployment_id, reason, as_json
    )
