"""Puts the web process together: the pages, the API, metrics and health, and what agents ask."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.operations.views.overview.sight import Sight
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.http import api, health, metrics, pages
from qdrant_rollouts.interfaces.http.api.stream import News
from qdrant_rollouts.interfaces.http.house import House
from qdrant_rollouts.interfaces.http.limits import of_this_process
from qdrant_rollouts.interfaces.http.pages import astray
from qdrant_rollouts.interfaces.http.problems import HANDLERS
from qdrant_rollouts.interfaces.http.security import Door, Guard
from qdrant_rollouts.interfaces.http.streams import Audience
from qdrant_rollouts.interfaces.mcp.http import Endpoint


def make_app(services: Services, settings: Settings) -> Starlette:
    """Everything that is asked by HTTP, over these services; its router is closed with it."""
    sight = Sight(services)
    routes = [*api.routes(), *metrics.routes(), *health.routes(), *pages.routes(services, sight)]
    return _app(services, settings, sight, routes, astray.handlers(sight))


def make_mcp_app(services: Services, settings: Settings) -> Starlette:
    """What agents ask, and whether it can be answered; nothing else."""
    return _app(services, settings, Sight(services), health.routes(), HANDLERS)


def _app(
    services: Services, settings: Settings, sight: Sight, routes: Sequence[BaseRoute], handlers: Mapping[Any, Any]
) -> Starlette:
    house = House(services, settings, Routers(services, lent=settings.lends_store), sight)
    agents = Endpoint(house)
    app = Starlette(
        routes=[*routes, *agents.routes()],
        middleware=[Middleware(Guard, house=house)],
        exception_handlers=handlers,
        lifespan=_lifespan,
    )
    app.state.house, app.state.door, app.state.news = house, Door(house), News(services)
    app.state.agents, app.state.audience = agents, Audience(of_this_process())
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    house: House = app.state.house
    async with app.state.agents.running():
        yield
    await run_in_threadpool(house.routers.close)
