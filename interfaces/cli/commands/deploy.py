"""``rollouts deploy``."""

from collections.abc import Sequence

import click

from qdrant_rollouts.core.deployments import commands
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import (
    json_option,
    parse_options,
    reason_option,
    settings_option,
    timeout_option,
)
from qdrant_rollouts.interfaces.cli.running import actor, open_services, verb
from qdrant_rollouts.interfaces.cli.runs import leave_running, wait_for_end


@click.command()
@click.argument("alias")
@click.option(
    "--source",
    metavar="KIND:WHERE",
    help="jsonl:FILES, csv:FILES, dir:FOLDER, parquet:FILES, sitemap:URL, collection:NAME or "
    "backup:ID.",
)
@click.option("--collection", metavar="NAME", help="Use this collection instead of building one.")
@click.option(
    "--strategy",
    metavar="NAME",
    help="The strategy; by default the index file's, or else blue_green.",
)
@click.option(
    "--query",
    "validation_queries",
    multiple=True,
    metavar="TEXT",
    help="A validation query; repeatable.",
)
@settings_option("soak.seconds=60")
@click.option(
    "--accept-new-model",
    is_flag=True,
    help="Allow that the live collection has another model, or an unknown one; the applications "
    "change with it.",
)
@click.option(
    "--no-rollback-on-failure",
    "keep_failed",
    is_flag=True,
    help="Keep a failed collection for inspection.",
)
@click.option("--wait", is_flag=True, help="Show progress until the deployment has ended.")
@timeout_option(None, "How long --wait lasts; the deployment continues after it.")
@reason_option
@json_option
@verb
def deploy_index(
    alias: str,
    source: str | None,
    collection: str | None,
    strategy: str | None,
    validation_queries: Sequence[str],
    options: Sequence[str],
    accept_new_model: bool,
    keep_failed: bool,
    wait: bool,
    timeout: float | None,
    reason: str,
    as_json: bool,
) -> int:
    """Starts a deployment of the index ALIAS."""
    wanted = parse_options(options) | ({"accept_new_model": True} if accept_new_model else {})
    with open_services(starts=True, needs="place or store") as context:
        started = commands.start_deployment(
            context.services,
            alias,
            actor=actor(),
            source=source,
            collection=collection,
            strategy=strategy,
            queries=validation_queries or None,
            rollback_on_failure=False if keep_failed else None,
            options=wanted,
            reason=reason,
        )
        for warning in queries.describe_started(context.services, started).get("warnings", ()):
            screen.print_note(f"⚠ {warning}")
        if wait:
            return wait_for_end(context, started, timeout, as_json)
        return leave_running(context, started, as_json)
