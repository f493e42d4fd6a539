"""``rollouts web``."""

import click

from qdrant_rollouts.interfaces.cli.options import json_option, serve_options
from qdrant_rollouts.interfaces.cli.running import verb
from qdrant_rollouts.interfaces.cli.web_process import serve_app
from qdrant_rollouts.interfaces.http.app import make_app


@click.command()
@serve_options()
@json_option
@verb
def serve_web(host: str, port: int, as_json: bool) -> int:
    """Serves the HTTP API; the workers run elsewhere."""
    return serve_app(make_app, host, port, as_json=as_json)
