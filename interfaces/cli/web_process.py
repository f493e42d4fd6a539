"""A process that serves HTTP while workers run elsewhere."""

import logging
import threading
from collections.abc import Callable

from rich.text import Text
from starlette.types import ASGIApp

from qdrant_rollouts.adapters import database
from qdrant_rollouts.adapters.releases import is_older, look
from qdrant_rollouts.core.config.settings import Settings, load_settings
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.cli import screen
from qdrant_rollouts.interfaces.cli.running import DONE, log_to_the_terminal, open_services
from qdrant_rollouts.interfaces.http import serving

#: Seconds between two looks at the database's revision.
_LOOK = 1.0


def serve_app(
    make: Callable[[Services, Settings], ASGIApp],
    host: str,
    port: int,
    path: str = "",
    *,
    as_json: bool = False,
) -> int:
    """Serves until Ctrl-C or SIGTERM. Raises Refused with the embedded Qdrant, which only one
    process can use: there, `rollouts up` also serves HTTP."""
    if not load_settings().qdrant_url:
        raise Refused(
            "the embedded Qdrant belongs to one process: `rollouts up` runs deployments and serves "
            "the web in it; or "
            "name a server in ROLLOUTS_QDRANT_URL"
        )
    _wait_for_migration(load_settings())
    with (
        open_services(needs="place") as context,
        serving.bind_socket(context.services, context.settings, host, port) as door,
    ):
        log_to_the_terminal(times=True)
        logging.getLogger("rollouts.alerts").setLevel(logging.WARNING)
        url = serving.socket_url(door) + path
        if as_json:
            screen.print_json({"web": url})
        else:
            screen.make_console().print(Text(f"{url}  Ctrl-C ends it"))
        serving.serve_until_signal(make(context.services, context.settings), door)
    return DONE


def _wait_for_migration(settings: Settings) -> None:
    """Waits until the database is up to date. The processes of a Procfile start together, so this
    one may start before the migration of a new release has ended. Until then it answers no
    request."""
    engine = database.open_engine(settings.database_url.get_secret_value())
    never = threading.Event()
    said = False
    try:
        while engine.dialect.name != "sqlite" and is_older(standing := look(engine)):
            if not said:
                screen.print_note(f"waiting: {standing.unfit}")
            said = True
            never.wait(_LOOK)
    finally:
        engine.dispose()
