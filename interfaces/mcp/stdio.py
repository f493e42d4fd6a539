"""MCP over this process's stdin and stdout, for a client on this machine that starts it: the person who runs the client
asks, with every scope."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from core.routing import Answer, Router
from core.services import Services
from core.tokens import ALL, Caller
from interfaces.mcp.guard import Guard
from interfaces.mcp.server import make_server


def serve(services: Services, actor: str, *, deploys: bool, one_process: bool, lent: bool) -> None:
    """Until stdin ends. ``one_process``: the store is one process's at a time, so nothing may hold it between calls;
    ``lent``: it is given back after each, which elsewhere is for whoever runs deployments here to do."""
    operator = Caller(actor, ALL)
    guard = Guard(lambda _: operator, (lambda: _given_back(services)) if lent else nullcontext)
    with nullcontext(_Borrowed(services)) if one_process else Router(services) as searching:
        make_server(services, searching, guard, deploys=deploys).run("stdio")


class _Borrowed:
    """A router for each search: one that stays looks at its routes, and at the store, twice a second."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def search(self, alias: str, query: str, user_id: str | None = None, limit: int = 10) -> Answer:
        with Router(self._services) as router:
            return router.search(alias, query, user_id, limit)


@contextmanager
def _given_back(services: Services) -> Iterator[None]:
    try:
        yield
    finally:
        services.store.close()
