"""Clients of the MCP server: the official one, in memory, over HTTP, and over stdio on a real
process."""

import asyncio
import json
import os
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.interfaces.access.tokens import Caller, expand_scopes
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app
from qdrant_rollouts.interfaces.mcp.guard import Guard
from qdrant_rollouts.interfaces.mcp.server import make_server
from tests.world import World

ROOT = Path(__file__).parents[1]


async def told(answer):
    """What came of it, errors too: those that leave a client's block come in groups."""
    try:
        return await answer
    except MCPError as error:
        return error


def raised(found):
    if isinstance(found, MCPError):
        raise found
    return found


class Agent:
    """A client of its own for every call, as ``scopes`` allow."""

    def __init__(self, world: World, *scopes: str, deploys: bool = True) -> None:
        self.world = world
        self.deploys = deploys
        self.caller = Caller("token:agent", expand_scopes(scopes or ("admin",)))
        self.progress = []

    def ask(self, what):
        async def asked():
            with closing(Routers(self.world.services, lent=False)) as routers:
                guard = Guard(lambda context: self.caller)
                server = make_server(self.world.services, routers, guard, deploys=self.deploys)
                async with Client(server) as client:
                    return await told(what(client))

        return raised(asyncio.run(asked()))

    def tools(self):
        return [tool.name for tool in self.ask(lambda client: client.list_tools()).tools]

    def call(self, tool, **arguments):
        async def heard(done, total, message):
            self.progress.append((done, total, message))

        result = self.ask(lambda client: client.call_tool(tool, arguments, progress_callback=heard))
        assert not result.is_error, result.content[0].text
        return result.structured_content

    def refusal(self, tool, **arguments):
        result = self.ask(lambda client: client.call_tool(tool, arguments))
        assert result.is_error
        return result.content[0].text

    def read(self, uri):
        (content,) = self.ask(lambda client: client.read_resource(uri)).contents
        return json.loads(content.text)


def over_stdio(folder, what, **settings):
    """What ``what`` makes of a client that has started ``rollouts mcp``, and all that came on the
    process's stderr."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "qdrant_rollouts.interfaces.cli", "mcp", "--folder", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **settings},
    )

    async def asked():
        with (folder / "stderr").open("w+", encoding="utf-8") as errors:
            async with Client(stdio_client(command, errlog=errors)) as client:
                found = await told(what(client))
            errors.seek(0)
            return found, errors.read()

    return asyncio.run(asked())


@contextmanager
def served(world, **settings):
    """The web process' app on a port of its own, in this process."""
    made = Settings(_env_file=None, mcp_deploy=True, **settings)
    app = make_app(world.services, made)
    with (
        serving.bind_socket(world.services, made, "127.0.0.1", 0) as door,
        serving.serve_beside(app, door),
    ):
        yield serving.socket_url(door)


def over_http(url, what, token="", **headers):
    if token:
        headers["Authorization"] = f"Bearer {token}"

    async def asked():
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            return await told(what(client))

    return raised(asyncio.run(asked()))
