"""``rollouts abort``."""

import click

from qdrant_rollouts.core.lifecycle import Event
from qdrant_rollouts.interfaces.cli.operator_requests import send_request
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option
from qdrant_rollouts.interfaces.cli.running import verb


@click.command()
@click.argument("deployment_id")
@click.option(
    "--keep",
    is_flag=True,
    help="End the watch after the switch and leave the new collection serving.",
)
@reason_option
@json_option
@verb
def abort_deployment(deployment_id: str, keep: bool, reason: str, as_json: bool) -> int:
    """Rolls a deployment back.

    Takes effect between two turns of the deployment. If searches will fail, a warning says so
    first.
    """
    return send_request(Event.ABORT_KEEP if keep else Event.ABORT, deployment_id, reason, as_json)
