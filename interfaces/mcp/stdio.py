"""MCP over this process's stdin and stdout, for a client on this machine that starts it: it acts
for the person who runs the client, with every scope."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext

from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.access.tokens import ALL_SCOPES, Caller
from qdrant_rollouts.interfaces.mcp.guard import Guard
from qdrant_rollouts.interfaces.mcp.server import make_server


def serve_stdio(
    services: Services, actor: str, *, deploys: bool, one_process: bool, lent: bool
) -> None:
    """Until stdin ends. ``one_process``: only one process at a time can open the store, so nothing
    may hold it between calls; ``lent``: the store is closed after each call, which otherwise the
    process that runs deployments does."""
    operator = Caller(actor, ALL_SCOPES)
    guard = Guard(lambda _: operator, (lambda: _give_back_store(services)) if lent else nullcontext)
    with closing(Routers(services, lent=one_process)) as routers:
        make_server(services, routers, guard, deploys=deploys).run("stdio")


@contextmanager
def _give_back_store(services: Services) -> Iterator[None]:
    try:
        yield
    finally:
        services.store.close()
