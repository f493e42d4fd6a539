"""Options of a deployment, for the verbs that start one and that plan one."""

from collections.abc import Sequence
from typing import Any

import click

from qdrant_rollouts.interfaces.cli.groups import Command
from qdrant_rollouts.interfaces.cli.options import parse_options, settings_option


def deploy_options(command: Command) -> Command:
    for option in reversed(
        (
            click.option(
                "--source",
                metavar="KIND:WHERE",
                help="jsonl:FILES, csv:FILES, dir:FOLDER, parquet:FILES, sitemap:URL, "
                "collection:NAME or backup:ID.",
            ),
            click.option(
                "--collection",
                metavar="NAME",
                help="Use this collection instead of building one.",
            ),
            click.option(
                "--strategy",
                metavar="NAME",
                help="The strategy; by default the index file's, or else blue_green.",
            ),
            click.option(
                "--query",
                "validation_queries",
                multiple=True,
                metavar="TEXT",
                help="A validation query; repeatable.",
            ),
            settings_option("soak.seconds=60"),
            click.option(
                "--accept-new-model",
                is_flag=True,
                help="Allow that the live collection has another model, or an unknown one; the "
                "applications change with it.",
            ),
            click.option(
                "--no-rollback-on-failure",
                "keep_failed",
                is_flag=True,
                help="Keep a failed collection for inspection.",
            ),
        )
    ):
        command = option(command)
    return command


def read_request(
    source: str | None,
    collection: str | None,
    strategy: str | None,
    validation_queries: Sequence[str],
    options: Sequence[str],
    accept_new_model: bool,
    keep_failed: bool,
) -> dict[str, Any]:
    """Returns the values of these options as arguments for the core. Raises Refused."""
    wanted = parse_options(options) | ({"accept_new_model": True} if accept_new_model else {})
    return {
        "source": source,
        "collection": collection,
        "strategy": strategy,
        "queries": validation_queries or None,
        "rollback_on_failure": False if keep_failed else None,
        "options": wanted,
    }
