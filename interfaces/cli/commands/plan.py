"""``rollouts plan``."""

from typing import Any

import click

from qdrant_rollouts.interfaces.cli import outlook
from qdrant_rollouts.interfaces.cli.deploy_options import deploy_options, read_request
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import verb


@click.command()
@click.argument("alias")
@deploy_options
@json_option
@verb
def plan_deployment(alias: str, as_json: bool, **asked: Any) -> int:
    """Says what a deployment of ALIAS would do, take and cost; changes nothing.

    It takes the options of deploy, and refuses what deploy refuses. Sizes and times come from a
    sample of the source and from earlier deployments.
    """
    return outlook.show_plan(alias, read_request(**asked), as_json)
