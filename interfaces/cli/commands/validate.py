"""``rollouts validate``."""

from collections.abc import Sequence

import click

from qdrant_rollouts.core.deployments.commands import validating
from qdrant_rollouts.interfaces.cli import judgment, screen
from qdrant_rollouts.interfaces.cli.options import (
    all_checks_option,
    json_option,
    parse_options,
    settings_option,
)
from qdrant_rollouts.interfaces.cli.running import DONE, ENDED_BADLY, open_for_reading, verb


@click.command()
@click.argument("alias")
@click.argument("collection")
@settings_option("validation.seed=8")
@all_checks_option
@json_option
@verb
def validate_collection(
    alias: str, collection: str, options: Sequence[str], every: bool, as_json: bool
) -> int:
    """Runs the gate of ALIAS on COLLECTION; changes nothing.

    The exit code is 0 if the gate passes, and 1 if it blocks or is inconclusive.
    """
    with open_for_reading(store=True) as context:
        report = validating.validate_collection(
            context.services,
            alias,
            collection,
            options=parse_options(options),
            tell=_print_progress,
        )
    if as_json:
        screen.print_json(report)
    else:
        screen.make_console().print(judgment.render_gate(report, every=every))
    if report["verdict"] == "pass":
        return DONE
    return ENDED_BADLY


def _print_progress(words: str) -> None:
    screen.print_note(words)
