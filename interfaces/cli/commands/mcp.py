"""``rollouts mcp``."""

import os
import signal
import sys
from contextlib import nullcontext

import click

from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.options import serve_options
from qdrant_rollouts.interfaces.cli.running import DONE, open_services, verb
from qdrant_rollouts.interfaces.cli.runs import drive_runner
from qdrant_rollouts.interfaces.cli.web_process import serve_app
from qdrant_rollouts.interfaces.http.app import make_mcp_app
from qdrant_rollouts.interfaces.mcp import stdio
from qdrant_rollouts.interfaces.mcp.http import PATH
from qdrant_rollouts.interfaces.people import login_name


@click.command()
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False),
    help="The folder of .env and rollouts.yaml.",
)
@click.option(
    "--http", is_flag=True, help="Use streamable HTTP, at /mcp, instead of stdin and stdout."
)
@serve_options(8601)
@verb
def serve_mcp(folder: str | None, http: bool, host: str, port: int) -> int:
    """Serves agents over MCP: they search and read deployments."""
    if folder is not None:
        os.chdir(folder)
    if http:
        return serve_app(make_mcp_app, host, port, PATH)
    return _over_stdio()


def _over_stdio() -> int:
    """Serves over stdin and stdout. This process also runs deployments if they are allowed and no
    other process runs them. A thread waits for stdin, and no exception can wake it. So Ctrl-C ends
    the process immediately. A client ends it by closing stdin."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stdin.isatty():
        screen.print_note(
            "this command speaks MCP on stdin and stdout; usually a client starts it, see "
            "docs/mcp.md. Ctrl-C ends it"
        )
    with open_services(needs="place") as context:
        deploys = context.settings.mcp_deploy
        embedded = not context.settings.qdrant_url
        with drive_runner(context) if deploys else nullcontext(False) as runs:
            stdio.serve_stdio(
                context.services,
                login_name("mcp"),
                deploys=deploys,
                one_process=embedded,
                lent=embedded and not runs,
            )
    return DONE
