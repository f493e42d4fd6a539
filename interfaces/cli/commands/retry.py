"""``rollouts retry``."""

import click

from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.interfaces.cli.operator_requests import send_request
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import verb


@click.command()
@click.argument("deployment_id")
@reason_option
@json_option
@verb
def retry_deployment(deployment_id: str, reason: str, as_json: bool) -> int:
    """Runs an inconclusive gate again.

    Takes effect between two turns of the deployment.
    """
    return send_request(Event.RETRY, deployment_id, reason, as_json)
