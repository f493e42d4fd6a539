"""``rollouts schedule``: its verbs with their arguments; what they do stands in ``scheduling``."""

from typing import Any

import click

from qdrant_rollouts.interfaces.cli.calling import InOrder, as_json, reason, verb


@click.group(cls=InOrder)
def schedule() -> None:
    """What is done by itself, when, and what became of it.

    Schedules stand in the index file; what is said here holds until the file says something new.
    """


@schedule.command("list")
@click.option("--alias", help="Only those of this index.")
@click.option("--limit", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many runs of each.")
@as_json
def list_schedules(**given: Any) -> None:
    """Schedules, their next times, their last runs with results."""
    verb("lists.schedules.show_schedules", **given)


@schedule.command()
@click.argument("alias")
@click.argument("action")
@reason
@as_json
def run(**given: Any) -> None:
    """Has ACTION (rebuild, verify, backup) done on ALIAS now, whatever the time."""
    verb("scheduling.run_schedule", **given)


@schedule.command()
@click.argument("alias")
@click.argument("action", required=False)
@reason
@as_json
def pause(**given: Any) -> None:
    """Lets times pass without a run: of ACTION, or of all on ALIAS."""
    verb("scheduling.pause_schedules", **given)


@schedule.command()
@click.argument("alias")
@click.argument("action", required=False)
@reason
@as_json
def resume(**given: Any) -> None:
    """Goes on with the next time; what passed is not made up for."""
    verb("scheduling.resume_schedules", **given)


@schedule.command("set")
@click.argument("alias")
@click.argument("action")
@click.option("--cron", metavar="LINE", help='Five fields, minute first, such as "0 2 * * *".')
@click.option("--zone", metavar="NAME", help="Whose clocks: UTC, Europe/Berlin, …")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. misfire=skip.")
@reason
@as_json
def set_schedule(**given: Any) -> None:
    """Gives ALIAS another schedule of ACTION, or its first."""
    verb("scheduling.change_schedule", **given)
