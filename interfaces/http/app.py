"""Puts the web process together: the pages, the API, metrics, health, and MCP."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.operations.views.overview.calling_count import CallingCount
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreWatcher
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.http import api, health, metrics, pages
from qdrant_rollouts.interfaces.http.api.route_stream import RouteNews
from qdrant_rollouts.interfaces.http.api.stream import News
from qdrant_rollouts.interfaces.http.app_context import AppContext
from qdrant_rollouts.interfaces.http.limits import process_limits
from qdrant_rollouts.interfaces.http.pages import astray
from qdrant_rollouts.interfaces.http.problems import HANDLERS
from qdrant_rollouts.interfaces.http.record_writes import RecordWrites
from qdrant_rollouts.interfaces.http.security import Authenticator, Guard
from qdrant_rollouts.interfaces.http.streams import Audience
from qdrant_rollouts.interfaces.mcp.http import McpEndpoint


def make_app(services: Services, settings: Settings) -> Starlette:
    """Returns the whole app over these services; its router is closed with it."""
    watcher = StoreWatcher(services)
    routes = [
        *api.api_routes(),
        *metrics.metrics_routes(),
        *health.health_routes(),
        *pages.page_routes(services, watcher),
    ]
    return _build_app(services, settings, watcher, routes, astray.page_handlers(watcher))


def make_mcp_app(services: Services, settings: Settings) -> Starlette:
    """Returns an app with MCP and the health paths only."""
    return _build_app(services, settings, StoreWatcher(services), health.health_routes(), HANDLERS)


def _build_app(
    services: Services,
    settings: Settings,
    watcher: StoreWatcher,
    routes: Sequence[BaseRoute],
    handlers: Mapping[Any, Any],
) -> Starlette:
    context = AppContext(
        services,
        settings,
        Routers(services, lent=settings.lends_store),
        watcher,
        RecordWrites(services),
        CallingCount(services),
    )
    agents = McpEndpoint(context)
    app = Starlette(
        routes=[*routes, *agents.routes()],
        middleware=[Middleware(Guard, context=context)],
        exception_handlers=handlers,
        lifespan=_app_lifespan,
    )
    app.state.context = context
    app.state.door = Authenticator(context)
    app.state.news = News(services)
    app.state.route_news = RouteNews(services)
    app.state.agents = agents
    app.state.audience = Audience(process_limits())
    return app


@asynccontextmanager
async def _app_lifespan(app: Starlette) -> AsyncIterator[None]:
    context: AppContext = app.state.context
    async with app.state.agents.running():
        yield
    await run_in_threadpool(context.record_writes.close)
    await run_in_threadpool(context.routers.close)
