"""``rollouts deploy``."""

from typing import Any

import click

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import outlook, screen
from qdrant_rollouts.interfaces.cli.deploy_options import deploy_options, read_request
from qdrant_rollouts.interfaces.cli.options import json_option, reason_option, timeout_option
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb
from qdrant_rollouts.interfaces.cli.runs import leave_running, wait_for_end


@click.command()
@click.argument("alias")
@deploy_options
@click.option("--dry-run", is_flag=True, help="Only say what would be done, as `rollouts plan`.")
@click.option(
    "--wait",
    is_flag=True,
    help="Show progress until the deployment has ended, also while it is paused.",
)
@timeout_option(None, "How long --wait lasts; the deployment continues after it.")
@reason_option
@json_option
@verb
def deploy_index(
    alias: str,
    dry_run: bool,
    wait: bool,
    timeout: float | None,
    reason: str,
    as_json: bool,
    **asked: Any,
) -> int:
    """Starts a deployment of the index ALIAS."""
    request = read_request(**asked)
    told = {"--wait": wait, "--timeout": timeout is not None, "--reason": bool(reason)}
    if dry_run and any(told.values()):
        named = ", ".join(name for name, given in told.items() if given)
        raise Refused(f"--dry-run starts nothing, so it takes no {named}; leave one of them out")
    if dry_run:
        return outlook.show_plan(alias, request, as_json)
    with open_services(starts=True, needs="place or store") as context:
        started = commands.start_deployment(
            context.services, alias, actor=actor(), reason=reason, **request
        )
        for warning in queries.describe_started(context.services, started).get("warnings", ()):
            screen.print_note(f"⚠ {warning}")
        if wait:
            return wait_for_end(context, started, timeout, as_json)
        return leave_running(context, started, as_json)
