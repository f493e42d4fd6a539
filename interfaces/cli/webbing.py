"""``web``: what is asked by HTTP, beside workers that run elsewhere."""

import logging

from rich.text import Text

from core.errors import Refused
from core.settings import load_settings
from interfaces.cli import screen
from interfaces.cli.running import DONE, log_to_the_terminal, opened
from interfaces.http import serving
from interfaces.http.app import make_app


def web(host: str, port: int, as_json: bool) -> int:
    """Serves until Ctrl-C or SIGTERM. Raises Refused with the embedded Qdrant, which is one process's: there,
    `rollouts up` serves the web too."""
    if not load_settings().qdrant_url:
        raise Refused(
            "the embedded Qdrant belongs to one process: `rollouts up` runs deployments and serves the web in it; or "
            "name a server in ROLLOUTS_QDRANT_URL"
        )
    with opened() as house, serving.bound(house.services, house.settings, host, port) as door:
        log_to_the_terminal(times=True)
        logging.getLogger("rollouts.alerts").setLevel(logging.WARNING)
        if as_json:
            screen.emit({"web": serving.url(door)})
        else:
            screen.console().print(Text(f"{serving.url(door)}  Ctrl-C ends it"))
        serving.serve(make_app(house.services, house.settings), door)
    return DONE
