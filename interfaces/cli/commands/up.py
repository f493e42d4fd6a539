"""``rollouts up``."""

import logging
import os
import signal

import click
from rich.text import Text

from qdrant_rollouts.adapters import database
from qdrant_rollouts.core.answers.deployments import ListedDeployment
from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.core.errors import Broken, Refused
from qdrant_rollouts.core.lifecycle import FINAL, MOVING
from qdrant_rollouts.core.operations.views import queries
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import json_option, serve_options
from qdrant_rollouts.interfaces.cli.running import (
    DONE,
    CliContext,
    log_to_the_terminal,
    open_services,
    verb,
)
from qdrant_rollouts.interfaces.embedded import WORKERS, Embedded
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.wiring import EMBEDDED_STORE


@click.command()
@serve_options()
@json_option
@verb
def run_up(host: str, port: int, as_json: bool) -> int:
    """Runs everything in one process: worker, scheduler, web."""
    if not load_settings().embedded:
        raise Refused(
            "ROLLOUTS_BROKER_URL names a broker, so workers run the deployments: start those of "
            "the Procfile "
            "(`honcho start`), or unset it to run everything in this process"
        )
    with open_services() as context:
        assert context.runner is not None
        with (
            serving.bind_socket(context.services, context.settings, host, port) as door,
            context.runner,
        ):
            app = make_app(context.services, context.settings)
            with serving.serve_beside(app, door):
                _print_facts(context, serving.socket_url(door), as_json)
                _wait_for_signal(context.runner)
            screen.print_note("stopping after the turns under way")
    screen.print_note("stopped; deployments go on with the next `rollouts up`")
    return DONE


def _wait_for_signal(runner: Embedded) -> None:
    told: list[int] = []

    def stop(number: int, frame: object) -> None:
        told.append(number)
        runner.ask_to_stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    runner.wait()
    if not told:
        raise Broken(
            "the sweep has ended with an unexpected error, which is logged above; start `rollouts "
            "up` again"
        )


def _print_facts(context: CliContext, web: str, as_json: bool) -> None:
    log_to_the_terminal(times=True)
    logging.getLogger("qdrant_rollouts.interfaces.embedded").setLevel(logging.INFO)
    logging.getLogger("rollouts.alerts").setLevel(logging.WARNING)
    facts = {**_startup_facts(context), "web": web}
    if as_json:
        screen.print_json({"pid": os.getpid(), **facts})
        return
    out = screen.make_console()
    for name, value in facts.items():
        out.print(Text.assemble((f"{name:<12}", "dim"), str(value)))
    out.print(Text("Ctrl-C ends it", style="dim"))


def _startup_facts(context: CliContext) -> dict[str, str]:
    found = queries.list_deployments(context.services, limit=1000)
    not_ended = [_name_deployment(row) for row in found if row["status"] not in FINAL]
    return {
        "database": database.database_address(context.services.engine),
        "qdrant": context.services.store.server().address
        if context.settings.qdrant_url
        else f"{EMBEDDED_STORE}, embedded",
        "indexes": ", ".join(context.services.indexes())
        or f"none declared in {context.settings.config}",
        "worker": f"{WORKERS} threads",
        "scheduler": "every second: due turns; every 10 s: due deletions and schedules",
        "under way": ", ".join(not_ended) or "no deployment",
    }


def _name_deployment(row: ListedDeployment) -> str:
    """With its status if it waits for a person."""
    name = f"{row['alias']} {row['id']}"
    if row["status"] in MOVING:
        return name
    return f"{name} ({row['status'].replace('_', ' ')})"
