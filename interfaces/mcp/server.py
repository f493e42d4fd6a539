"""The server, for any transport: its tools and resources."""

import importlib.metadata
import reprlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio.to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedToolError,
)
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolResult,
    InputRequiredResult,
    ListResourcesResult,
    PaginatedRequestParams,
    Tool,
    ToolAnnotations,
)
from pydantic import AnyUrl, ValidationError

from qdrant_rollouts.core.config.expected import describe_expected
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.mcp.asking import AskingTools
from qdrant_rollouts.interfaces.mcp.guard import Guard
from qdrant_rollouts.interfaces.mcp.resources import add_resources, list_resources
from qdrant_rollouts.interfaces.mcp.tools import Tools

_INSTRUCTIONS = (
    "Searches indexes of documents: search_with_alias, with an alias that list_indexes names. "
    "get_deployment tells how the rebuilding of an index goes. Lists come in pages: `next` of a "
    "page leads to the one that follows."
)
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
#: It changes nothing, but it reads a source, which may be a site, and asks a provider.
_PLANS = ToolAnnotations(read_only_hint=True, open_world_hint=True)
_STARTS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)

#: The same mark, or judgment, once more changes nothing.
_MARKS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


#: Returns a page of the resources that the caller may read, for a cursor.
ListResources = Callable[[Context[Any, Any], str | None], ListResourcesResult]


class Server(MCPServer[None]):
    """The library's server would silently drop arguments that a tool does not have, and it lists
    only resources that never change, all at once."""

    def __init__(self, name: str, list_page: ListResources, **settings: Any) -> None:
        super().__init__(name, **settings)
        self._list_page = list_page

    async def _handle_list_resources(
        self, ctx: ServerRequestContext[None], params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        """Raises MCPError for a cursor that is none, as the protocol requires."""
        context = Context(request_context=ctx, mcp_server=self)
        cursor = params.cursor if params else None
        try:
            return await anyio.to_thread.run_sync(self._list_page, context, cursor)
        except ResourceNotFoundError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error
        except ResourceError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from error

    async def list_tools(self) -> list[Tool]:
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema = {**tool.input_schema, "additionalProperties": False}
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Raises ToolError with a message that a model can act on."""
        _check_call(name, arguments, {tool.name: tool for tool in await self.list_tools()})
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            words = (
                "an unexpected error, see the log of the server; tell a person, and call again "
                "later"
            )
            raise UnexpectedToolError(f"{error}: {words}") from error.__cause__
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_describe_faults(name, error.__cause__)) from error.__cause__
            raise

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[None, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        try:
            return await super().read_resource(uri, context)
        except ResourceNotFoundError as error:
            if isinstance(error.__cause__, AppError):  # ours, with its own message
                raise
            known = ", ".join(one.uri_template for one in await self.list_resource_templates())
            raise ResourceNotFoundError(f"{error}; there are: {known}") from error


def _check_call(name: str, arguments: Mapping[str, Any], tools: Mapping[str, Tool]) -> None:
    if name not in tools:
        raise ToolError(f"Unknown tool {quote_value(name)}; there are: {', '.join(tools)}")
    takes = tools[name].input_schema["properties"]
    unknown = [argument for argument in arguments if argument not in takes]
    if unknown:
        known = "it takes none"
        if takes:
            known = f"it takes {', '.join(takes)}"
        shown = ", ".join(quote_value(argument) for argument in unknown[:10])
        raise ToolError(
            f"{name} has no argument {shown}; {known}: call again without, or correct the spelling"
        )


def _describe_faults(name: str, error: ValidationError) -> str:
    return f"{name}: " + "; ".join(
        f"{'.'.join(map(str, fault['loc']))}: {_describe_fault(fault)}"
        for fault in error.errors()[:10]
    )


def _describe_fault(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "missing":
        return "missing; this argument is required"
    return f"found {reprlib.repr(fault['input'])}; {describe_expected(fault)}"


def make_server(
    services: Services, routers: Routers, guard: Guard, *, deploys: bool
) -> MCPServer[None]:
    """Without ``deploys`` nothing that changes anything is registered, and nothing that reads the
    sources."""
    tools = Tools(services, routers, guard)
    asking = AskingTools(services, guard)

    @asynccontextmanager
    async def life(_: MCPServer[None]) -> AsyncIterator[None]:
        yield
        tools.closing.set()

    server = Server(
        "qdrant-rollouts",
        partial(list_resources, services, guard),
        title="qdrant-rollouts",
        instructions=_INSTRUCTIONS,
        version=importlib.metadata.version("qdrant-rollouts"),
        log_level="WARNING",  # of the whole process, if no other is set
        lifespan=life,
        subscriptions=False,  # nothing is announced here
    )
    for tool in (
        tools.search_with_alias,
        tools.list_indexes,
        tools.get_deployment,
        tools.list_versions,
        asking.ask_both,
    ):
        server.add_tool(tool, annotations=_READS)
    if deploys:
        server.add_tool(tools.plan_deployment, annotations=_PLANS)
        server.add_tool(tools.deploy_new_index, annotations=_STARTS)
        server.add_tool(tools.roll_back_index, annotations=_STARTS)
        server.add_tool(tools.mark_version, annotations=_MARKS)
        server.add_tool(asking.judge_answers, annotations=_MARKS)
    add_resources(server, services, guard)
    return server
