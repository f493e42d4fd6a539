"""``rollouts experiment report``."""

from pathlib import Path
from typing import Any

import click

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.experiments import queries
from qdrant_rollouts.interfaces.cli import findings, screen
from qdrant_rollouts.interfaces.cli.options import json_option
from qdrant_rollouts.interfaces.cli.running import DONE, open_for_reading, verb
from qdrant_rollouts.interfaces.pictures import experiment_svg
from qdrant_rollouts.wiring import own_files


@click.command()
@click.argument("experiment")
@click.option(
    "--svg",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also draw its course over time into this file.",
)
@json_option
@verb
def show_report(experiment: str, svg: str | None, as_json: bool) -> int:
    """Shows what EXPERIMENT (an id or a name) has found so far.

    It changes nothing, and stays valid however often you read it.
    """
    with open_for_reading() as context:
        if svg is not None:
            own_files(context.settings).refuse(Path(svg), f"--svg {svg}")
        found = queries.report_experiment(context.services, experiment)
    if svg is not None:
        _draw_report(found, Path(svg))
    if as_json:
        screen.print_json(found)
    else:
        screen.make_console().print(findings.render_report(found))
    return DONE


def _draw_report(found: dict[str, Any], file: Path) -> None:
    try:
        file.write_text(experiment_svg(found), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"--svg {file}: cannot be written ({error.strerror}); name a file in a folder of yours"
        ) from error
    screen.print_note(f"drawn: {file}")
