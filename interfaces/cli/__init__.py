"""``rollouts``: every verb with its arguments; what a verb does stands in the module it names."""

from collections.abc import Callable
from typing import Any

import click

from qdrant_rollouts.interfaces.cli import backup_verbs, experiment_verbs, schedule_verbs, token_verbs, version_verbs
from qdrant_rollouts.interfaces.cli.calling import DEFAULTS, Command, InOrder, as_json, list_options, reason, verb

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


_all_option = click.option(
    "--all", "every", is_flag=True, help="Every check of the gate with its figures, passed ones too."
)


def _timeout_option(default: float | None, text: str) -> Callable[[Command], Command]:
    return click.option(
        "--timeout", type=click.FloatRange(min=0), default=default, metavar="SECONDS", show_default=True, help=text
    )


@click.group(cls=InOrder, context_settings=_SETTINGS)
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
    verb("demonstrating.run_demo", **given)


@main.command()
@token_verbs.serve_options()
@as_json
def up(**given: Any) -> None:
    """One process with everything embedded: worker, scheduler, web."""
    verb("uptime.run_up", **given)


@main.command()
@click.option("--check", is_flag=True, help="Only say what there is to do; exit code 1 if there is anything.")
@as_json
def migrate(**given: Any) -> None:
    """Brings the database up to date for this program.

    Once for each new release, before its processes start. Safe to run twice, and by many at once.
    """
    verb("migrating.run", **given)


@main.command()
@click.argument("alias")
@click.option(
    "--source",
    metavar="KIND:WHERE",
    help="jsonl:FILES, csv:FILES, dir:FOLDER, parquet:FILES, sitemap:URL, collection:NAME or backup:ID.",
)
@click.option("--collection", metavar="NAME", help="Take this collection instead of building one.")
@click.option("--strategy", metavar="NAME", help="How to get there; the index file's, else blue_green.")
@click.option("--query", "validation_queries", multiple=True, metavar="TEXT", help="A validation query; repeatable.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. soak.seconds=60.")
@click.option(
    "--accept-new-model",
    is_flag=True,
    help="The live collection may be of another model, or of one that nobody knows; applications change with it.",
)
@click.option("--no-rollback-on-failure", "keep_failed", is_flag=True, help="Keep a failed collection to look at.")
@click.option("--wait", is_flag=True, help="Show progress until the deployment has ended.")
@_timeout_option(None, "How long --wait lasts; the deployment goes on after it.")
@reason
@as_json
def deploy(**given: Any) -> None:
    """Starts a deployment of the index ALIAS."""
    verb("deploying.deploy_index", **given)


@main.command()
@click.argument("deployment_id")
@click.option("--watch", is_flag=True, help="Go on showing it until it has ended.")
@_all_option
@as_json
def status(**given: Any) -> None:
    """One deployment with its steps, gate and events.

    DEPLOYMENT_ID may be shortened as long as it fits one deployment.
    """
    verb("lists.deployments.show_status", **given)


@main.command("list")
@list_options("those")
@as_json
def list_deployments(**given: Any) -> None:
    """Deployments, newest first, and collections to be deleted."""
    verb("lists.deployments.show_deployments", **given)


def _add_request_verb(event: str, text: str) -> None:
    @main.command(event, help=f"{text}\n\nHonoured between two turns of the deployment.")
    @click.argument("deployment_id")
    @reason
    @as_json
    def wish(**given: Any) -> None:
        verb("wishing.send_request", event=event, **given)


@main.command()
@click.argument("deployment_id")
@click.option("--full", is_flag=True, help="Past every stage and watch that is left; needs a reason, skips no gate.")
@reason
@as_json
def promote(full: bool, **given: Any) -> None:
    """Approves what waits for a person, or ends a stage or a pause.

    Honoured between two turns of the deployment.
    """
    verb("wishing.send_request", event="promote_full" if full else "promote", **given)


_add_request_verb("retry", "Runs a gate that could not tell once more.")
_add_request_verb("pause", "Stops a deployment where it is.")
_add_request_verb("resume", "Lets a paused deployment go on.")


@main.command()
@click.argument("deployment_id")
@click.option("--keep", is_flag=True, help="Ends the watch after the switch and leaves the new collection serving.")
@reason
@as_json
def abort(keep: bool, **given: Any) -> None:
    """Rolls a deployment back.

    Honoured between two turns of the deployment. Says beforehand if searches will fail.
    """
    verb("wishing.send_request", event="abort_keep" if keep else "abort", **given)


@main.command()
@click.argument("alias")
@_timeout_option(60.0, "How long to wait for the end; the rollback goes on after it.")
@reason
@as_json
def rollback(**given: Any) -> None:
    """Back to the version before the live one, while it is retained."""
    verb("deploying.roll_back_index", **given)


@main.command()
@click.argument("alias")
@click.argument("collection")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. validation.seed=8.")
@_all_option
@as_json
def validate(**given: Any) -> None:
    """Runs the gate of ALIAS on COLLECTION; changes nothing.

    Exit code 0 only if it passes, 1 if it blocks or cannot tell.
    """
    verb("validating.validate_collection", **given)


@main.group(cls=InOrder)
def alias() -> None:
    """Lists, makes, moves and removes aliases."""


@alias.command("list")
@as_json
def list_aliases(**given: Any) -> None:
    """Every alias and the collection behind it."""
    verb("lists.aliases.show_aliases", **given)


@alias.command("create")
@click.argument("alias")
@click.argument("collection")
@click.option("--force", is_flag=True, help="Repoint an alias that points elsewhere.")
@reason
@as_json
def create_alias(**given: Any) -> None:
    """Points a new ALIAS to COLLECTION."""
    verb("aliasing.create_alias", **given)


@alias.command("switch")
@click.argument("alias")
@click.argument("collection")
@click.option("--delete-old", is_flag=True, help="Delete the old collection by the index's own rule.")
@reason
@as_json
def switch_alias(**given: Any) -> None:
    """Points an existing ALIAS to another COLLECTION, in one act."""
    verb("aliasing.switch_alias", **given)


@alias.command("delete")
@click.argument("alias")
@reason
@as_json
def delete_alias(**given: Any) -> None:
    """Removes ALIAS; the collection behind it stays."""
    verb("aliasing.delete_alias", **given)


@main.command()
@click.argument("alias")
@click.argument("query")
@click.option(
    "--limit",
    type=click.IntRange(1, DEFAULTS["MOST"]),
    default=DEFAULTS["RESULTS"],
    show_default=True,
    help="How many results.",
)
@click.option("--user", help="Whose search it is: the route gives one user the same collection every time.")
@as_json
def search(**given: Any) -> None:
    """What ALIAS finds for QUERY."""
    verb("searching.search_index", **given)


for command in version_verbs.VERBS:
    main.add_command(command)
main.add_command(experiment_verbs.experiment)
main.add_command(schedule_verbs.schedule)
main.add_command(backup_verbs.backup)
main.add_command(token_verbs.web)


@main.command()
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="Where .env and rollouts.yaml are.")
@click.option("--http", is_flag=True, help="Over streamable HTTP, at /mcp, instead of stdin and stdout.")
@token_verbs.serve_options(8601)
def mcp(**given: Any) -> None:
    """Search, and looks at deployments, for agents (MCP)."""
    verb("agents.serve_mcp", **given)


main.add_command(token_verbs.token)


@main.command("events")
@list_options("those")
@as_json
def list_events(**given: Any) -> None:
    """What happened: when, by whom, through what, and why."""
    verb("lists.told.show_events", **given)


@main.group(cls=InOrder)
def alert() -> None:
    """What somebody was told of, and whether it got there."""


@alert.command("list")
@list_options("those")
@as_json
def list_alerts(**given: Any) -> None:
    """Alerts, newest first, with each channel they go to and what went wrong."""
    verb("lists.told.show_alerts", **given)


@alert.command("test")
@click.argument("channel", required=False)
@reason
@as_json
def test_alert(**given: Any) -> None:
    """Sends a test to CHANNEL, or to every channel of the index file.

    Exit code 0 only if each took it, 3 if not.
    """
    verb("telling.try_alert_channels", **given)


@main.command()
@as_json
def workers(**given: Any) -> None:
    """Who takes turns, and what each does; which turns wait, and why.

    A turn that is due waits because nobody takes its queue, because all who do are busy,
    or because messages are lost.
    """
    verb("lists.workers.list_", **given)


@main.command()
@as_json
def doctor(**given: Any) -> None:
    """Checks settings and servers, and says what to do about faults."""
    verb("doctoring.run_doctor", **given)
