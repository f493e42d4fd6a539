"""The server, for whatever transport: its tools and resources."""

import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

from core.routing import Routers
from core.services import Services
from interfaces.mcp.guard import Guard
from interfaces.mcp.resources import add_resources
from interfaces.mcp.tools import Tools

_INSTRUCTIONS = (
    "Searches indexes of documents by meaning: search_with_alias, with an alias that list_indexes names. "
    "get_deployment tells how the rebuilding of an index goes."
)
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_STARTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)


def make_server(services: Services, routers: Routers, guard: Guard, *, deploys: bool) -> MCPServer[None]:
    """Without ``deploys`` nothing that changes anything is even registered."""
    tools = Tools(services, routers, guard)

    @asynccontextmanager
    async def life(_: MCPServer[None]) -> AsyncIterator[None]:
        yield
        tools.closing.set()

    server: MCPServer[None] = MCPServer(
        "qdrant-rollouts",
        title="qdrant-rollouts",
        instructions=_INSTRUCTIONS,
        version=importlib.metadata.version("qdrant-rollouts"),
        log_level="WARNING",  # of the whole process, if nobody has set another
        lifespan=life,
        subscriptions=False,  # nothing here is announced
    )
    for tool in (tools.search_with_alias, tools.list_indexes, tools.get_deployment):
        server.add_tool(tool, annotations=_READS)
    if deploys:
        server.add_tool(tools.deploy_new_index, annotations=_STARTS)
    add_resources(server, services, guard)
    return server
