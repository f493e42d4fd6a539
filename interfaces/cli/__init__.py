"""``rollouts``: every verb with its arguments; what a verb does stands in the module it names.

Rule: this module imports click and nothing else of weight, so that ``--help`` answers at once. ``_verb`` brings the
rest in when a verb is called; it is the one deliberate late import of the house.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


class _InOrder(click.Group):
    """Lists its verbs as they are written below, in the order people need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _verb(target: str, **given: Any) -> None:
    """Runs ``module.function`` of this package and ends the process with the code it answers."""
    sys.exit(importlib.import_module("interfaces.cli.running").run(target, given))


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, messages on stderr.")
_reason = click.option("--reason", default="", metavar="TEXT", help="Why; kept with the deployment's events.")


def _patience(default: float | None, text: str) -> Callable[[Command], Command]:
    return click.option(
        "--timeout", type=click.FloatRange(min=0), default=default, metavar="SECONDS", show_default=True, help=text
    )


@click.group(cls=_InOrder, context_settings=_SETTINGS)
@click.version_option(package_name="qdrant-rollouts", prog_name="rollouts")
def main() -> None:
    """Blue-green rebuilds of Qdrant collections behind an alias.

    \b
    Exit codes: 0 done, 1 the deployment ended rolled_back or needs_operator,
    2 refused, 3 a server cannot be reached, 4 --timeout ran out.
    """


@main.command()
def demo(**given: Any) -> None:
    """The main job on real text, start to end."""
    _verb("demonstrating.demo", **given)


@main.command()
@_json
def up(**given: Any) -> None:
    """One process with everything embedded: worker and scheduler."""
    _verb("uptime.up", **given)


@main.command()
@click.argument("alias")
@click.option("--source", metavar="KIND:WHERE", help="jsonl:FILES, csv:FILES or collection:NAME.")
@click.option("--collection", metavar="NAME", help="Take this collection instead of building one.")
@click.option("--strategy", metavar="NAME", help="How to get there; the index file's, else blue_green.")
@click.option("--query", "validation_queries", multiple=True, metavar="TEXT", help="A validation query; repeatable.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. soak.seconds=60.")
@click.option("--no-rollback-on-failure", "keep_failed", is_flag=True, help="Keep a failed collection to look at.")
@click.option("--wait", is_flag=True, help="Show progress until the deployment has ended.")
@_patience(None, "How long --wait lasts; the deployment goes on after it.")
@_reason
@_json
def deploy(**given: Any) -> None:
    """Starts a deployment of the index ALIAS."""
    _verb("deploying.deploy", **given)


@main.command()
@click.argument("deployment_id")
@click.option("--watch", is_flag=True, help="Go on showing it until it has ended.")
@_json
def status(**given: Any) -> None:
    """One deployment with its steps, gate and events.

    DEPLOYMENT_ID may be shortened as long as it fits one deployment.
    """
    _verb("looking.status", **given)


@main.command("list")
@click.option("--alias", help="Only those of this index.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@_json
def list_(**given: Any) -> None:
    """Deployments, newest first, and collections to be deleted."""
    _verb("looking.list_", **given)


def _wish(event: str, text: str) -> None:
    @main.command(event, help=f"{text}\n\nHonoured between two turns of the deployment.")
    @click.argument("deployment_id")
    @_reason
    @_json
    def wish(**given: Any) -> None:
        _verb("wishing.wish", event=event, **given)


@main.command()
@click.argument("deployment_id")
@click.option("--full", is_flag=True, help="Past every stage and watch that is left; needs a reason, skips no gate.")
@_reason
@_json
def promote(full: bool, **given: Any) -> None:
    """Approves what waits for a person, or ends a stage or a pause.

    Honoured between two turns of the deployment.
    """
    _verb("wishing.wish", event="promote_full" if full else "promote", **given)


_wish("retry", "Runs a gate that could not tell once more.")
_wish("pause", "Stops a deployment where it is.")
_wish("resume", "Lets a paused deployment go on.")
_wish("abort", "Rolls a deployment back.")


@main.command()
@click.argument("alias")
@_patience(60.0, "How long to wait for the end; the rollback goes on after it.")
@_reason
@_json
def rollback(**given: Any) -> None:
    """Back to the version before the live one, while it is retained."""
    _verb("deploying.rollback", **given)


@main.command()
@click.argument("alias")
@click.argument("collection")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. validation.seed=8.")
@_json
def validate(**given: Any) -> None:
    """Runs the gate of ALIAS on COLLECTION; changes nothing.

    Exit code 0 only if it passes, 1 if it blocks or cannot tell.
    """
    _verb("validating.validate", **given)


@main.group(cls=_InOrder)
def alias() -> None:
    """Lists, makes, moves and removes aliases."""


@alias.command("list")
@_json
def list_aliases(**given: Any) -> None:
    """Every alias and the collection behind it."""
    _verb("aliasing.list_", **given)


@alias.command("create")
@click.argument("alias")
@click.argument("collection")
@click.option("--force", is_flag=True, help="Repoint an alias that points elsewhere.")
@_json
def create_alias(**given: Any) -> None:
    """Points a new ALIAS to COLLECTION."""
    _verb("aliasing.create", **given)


@alias.command("switch")
@click.argument("alias")
@click.argument("collection")
@click.option("--delete-old", is_flag=True, help="Delete the old collection after its grace period of 60 minutes.")
@_json
def switch_alias(**given: Any) -> None:
    """Points an existing ALIAS to another COLLECTION, in one act."""
    _verb("aliasing.switch", **given)


@alias.command("delete")
@click.argument("alias")
@_json
def delete_alias(**given: Any) -> None:
    """Removes ALIAS; the collection behind it stays."""
    _verb("aliasing.delete", **given)


@main.command()
@click.argument("alias")
@click.argument("query")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many results.")
@click.option("--user", help="Whose search it is: the route gives one user the same collection every time.")
@_json
def search(**given: Any) -> None:
    """What ALIAS finds for QUERY."""
    _verb("looking.search", **given)


@main.command()
@_json
def doctor(**given: Any) -> None:
    """Checks settings and servers, and says what to do about faults."""
    _verb("doctoring.doctor", **given)
