"""``rollouts experiment``: its verbs with their arguments; what they do stands in ``experimenting``."""

from typing import Any

import click

from qdrant_rollouts.interfaces.cli.calling import DEFAULTS, Command, InOrder, as_json, list_options, reason, verb


def _experiment_options(command: Command) -> Command:
    """What is asked of an experiment, be it planned or created."""
    for option in reversed(
        (
            click.option("--metric", "metrics", multiple=True, metavar="NAME[,KEY=VALUE]…", help=_METRIC),
            click.option(
                "--split", type=float, default=DEFAULTS["SPLIT"], show_default=True, help="The treatments' share."
            ),
            click.option("--coverage", type=float, metavar="PERCENT", help="Who takes part; 100 if not told."),
            click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help=_OPTION),
        )
    ):
        command = option(command)
    return command


_METRIC = "clicks, relevance, latency …, or your own: dwell,kind=mean,role=primary; repeatable."
_OPTION = "Any setting of an experiment, e.g. max_days=14."


@click.group(cls=InOrder)
def experiment() -> None:
    """Compares collections on the searches of an alias.

    Each user meets one collection and stays with it. An experiment is looked at every few minutes, as often as you
    like besides, and ends by itself when it has an answer, or when its time is up.
    """


@experiment.command()
@click.argument("alias")
@_experiment_options
@click.option(
    "--target", type=float, metavar="SHARE", help="The effect worth finding; 0.1, which is 10 %, if not told."
)
@click.option("--rate", type=float, help="By hand: the primary metric now, as a share of users or with --deviation.")
@click.option("--deviation", type=float, help="By hand: how far users differ in the primary metric (one sigma).")
@click.option("--users-per-day", type=float, help="By hand: new users a day.")
@as_json
def plan(**given: Any) -> None:
    """How many users and days an experiment on ALIAS will need."""
    verb("experimenting.plan_experiment", **given)


@experiment.command()
@click.argument("name")
@click.option("--control", required=True, metavar="COLLECTION", help="What serves now.")
@click.option("--treatment", "treatments", required=True, multiple=True, metavar="COLLECTION", help="Repeatable.")
@click.option("--alias", help="Whose searches are split; the one that leads to the control, if not told.")
@_experiment_options
@click.option("--mode", type=click.Choice(["ab", "interleave"]), help="interleave: one list drafted from both.")
@click.option("--on-ship", type=click.Choice(["nothing", "canary", "switch"]), help="What a winner starts.")
@click.option("--draft", is_flag=True, help="Write it down, start it later.")
@reason
@as_json
def create(**given: Any) -> None:
    """Writes down the experiment NAME and starts it."""
    verb("experimenting.create_experiment", **given)


@experiment.command("list")
@list_options("those")
@as_json
def list_experiments(**given: Any) -> None:
    """Experiments, newest first."""
    verb("lists.experiments.show_experiments", **given)


@experiment.command()
@click.argument("experiment")
@click.option("--svg", type=click.Path(dir_okay=False), metavar="FILE", help="Draw it too, over all its looks.")
@as_json
def report(**given: Any) -> None:
    """What EXPERIMENT, an id or a name, has found so far.

    Looking changes nothing, and may be done as often as you like.
    """
    verb("experimenting.show_report", **given)


@experiment.command()
@click.argument("experiment")
@reason
@as_json
def start(**given: Any) -> None:
    """Starts a draft: the searches of its alias are split from now on."""
    verb("experimenting.start_experiment", **given)


@experiment.command()
@click.argument("experiment")
@reason
@as_json
def stop(**given: Any) -> None:
    """Ends EXPERIMENT: control answers everybody.

    What was seen stays, and users are heard until their time is over.
    """
    verb("experimenting.stop_experiment", **given)


@experiment.command()
@click.argument("experiment")
@click.option("--coverage", type=float, required=True, metavar="PERCENT", help="Of all users; more than now.")
@reason
@as_json
def widen(**given: Any) -> None:
    """Lets more users take part; nobody changes collection."""
    verb("experimenting.widen_experiment", **given)
