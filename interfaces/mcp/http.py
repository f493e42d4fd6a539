"""MCP over streamable HTTP, at ``/mcp`` of the web process: one POST is one call, and any process
can handle the next."""

from contextlib import AbstractAsyncContextManager

import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from qdrant_rollouts.interfaces.access.tokens import Caller
from qdrant_rollouts.interfaces.http.app_context import AppContext
from qdrant_rollouts.interfaces.http.security import caller_of_request
from qdrant_rollouts.interfaces.mcp.guard import Guard
from qdrant_rollouts.interfaces.mcp.server import make_server

PATH = "/mcp"
#: The web process checks names and origins itself, and knows those that its settings add.
_TRANSPORT_SECURITY = TransportSecuritySettings(enable_dns_rebinding_protection=False)


class McpEndpoint:
    """Served while ``running``. Every call carries its token; there are no sessions that could
    outlive it."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self, methods=["POST"])]

    def running(self) -> AbstractAsyncContextManager[None]:
        """A new server each time, because the library's runs only once."""
        context = self._context
        server = make_server(
            context.services,
            context.routers,
            Guard(_caller_of_context),
            deploys=context.settings.mcp_deploy,
        )
        server.streamable_http_app(stateless_http=True, transport_security=_TRANSPORT_SECURITY)
        self._calls = server.session_manager
        return self._calls.run()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Unauthorized and ClientDisconnect, which the web process answers. The library gets
        only complete requests, because it would report an incomplete one as its own error."""
        request = Request(scope, receive)
        request.state.caller = await anyio.to_thread.run_sync(caller_of_request, request)
        await self._calls.asgi_app(scope, _replay_body(await request.body(), receive), send)


def _replay_body(body: bytes, then: Receive) -> Receive:
    """Yields the body as one message; then what the connection says: that the client has
    disconnected."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        return await then()

    return receive


def _caller_of_context(context: Context) -> Caller:
    request = context.request_context.request
    assert request is not None
    found: Caller = request.state.caller
    return found
