"""Puts the web process together: the API, and what else is asked by HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from core.overview.sight import Sight
from core.routing import Router
from core.services import Services
from core.settings import Settings
from interfaces.http import api, pages
from interfaces.http.api.stream import News
from interfaces.http.house import House
from interfaces.http.problems import HANDLERS
from interfaces.http.security import Door, Guard


def make_app(services: Services, settings: Settings) -> Starlette:
    """Everything that is asked by HTTP, over these services; its router is closed with it."""
    house = House(services, settings, Router(services), Sight(services))
    app = Starlette(
        routes=[*api.routes(), *pages.routes(services, house.sight)],
        middleware=[Middleware(Guard, house=house)],
        exception_handlers=HANDLERS,
        lifespan=_lifespan,
    )
    app.state.house, app.state.door, app.state.news = house, Door(house), News(services)
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    house: House = app.state.house
    await run_in_threadpool(house.router.close)
