"""``rollouts status``."""

import click

from qdrant_rollouts.core.operations.views.overview.deployment_situation import (
    get_deployment_with_situation,
)
from qdrant_rollouts.interfaces.cli import picture, screen
from qdrant_rollouts.interfaces.cli.following import follow_deployment
from qdrant_rollouts.interfaces.cli.options import all_checks_option, json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb


@click.command()
@click.argument("deployment_id")
@click.option("--watch", is_flag=True, help="Show it until the deployment has ended.")
@all_checks_option
@json_option
@verb
def show_status(deployment_id: str, watch: bool, every: bool, as_json: bool) -> int:
    """Shows a deployment with its situation, steps, gate and events.

    The situation: what happens now, since when, until when, and what is needed of you.

    DEPLOYMENT_ID can be shortened as long as it fits only one deployment.
    """
    with open_for_reading() as context:
        if watch:
            follow_deployment(context.services, deployment_id, timeout=None, as_json=as_json)
        seen = get_deployment_with_situation(context.services, deployment_id)
    if as_json:
        screen.print_json(seen)
    else:
        shown = picture.render_deployment(seen, every=every)
        if watch:  # the tree is on the screen already
            shown = picture.render_report(seen, every=every)
        screen.make_console().print(shown)
    return DONE
