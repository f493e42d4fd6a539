"""Routers that reach the routes of a world by HTTP, at a web process that runs in a thread over the
same services."""

from collections.abc import Callable
from contextlib import ExitStack

from starlette.types import ASGIApp

from qdrant_rollouts.adapters.http_control_plane import HttpControlPlane
from qdrant_rollouts.adapters.qdrant_async import ThreadedSearches
from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.routing import AsyncRouter, Router
from qdrant_rollouts.core.routing.control_plane import RouterServices
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.access import tokens
from qdrant_rollouts.interfaces.http import serving
from qdrant_rollouts.interfaces.http.app import make_app


class ByHttp:
    """The web process starts with the first router. ``wrap`` stands before the app."""

    def __init__(self, wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app) -> None:
        self._open = ExitStack()
        self._wrap = wrap
        self._port = 0
        self.url = ""
        self.token = ""

    def open_router(self, services: Services) -> Router:
        control = self.connect(services)
        return Router(_without_database(services, control), control.close)

    def open_async_router(self, services: Services) -> AsyncRouter:
        control = self.connect(services)
        searches = ThreadedSearches(services.store)
        return AsyncRouter(_without_database(services, control), searches, control.close)

    def begin(self, services: Services) -> None:
        if not self.url:
            made = tokens.create_token(services, "application", ["router"], actor="anna")
            self.token = made["token"]
            self.start(services)

    def connect(self, services: Services) -> HttpControlPlane:
        self.begin(services)
        return HttpControlPlane(self.url, self.token)

    def start(self, services: Services) -> None:
        """A server that was stopped starts again at the same port."""
        settings = Settings()
        bound = serving.bind_socket(services, settings, "127.0.0.1", self._port)
        door = self._open.enter_context(bound)
        app = self._wrap(make_app(services, settings))
        self._open.enter_context(serving.serve_beside(app, door))
        self._port = door.getsockname()[1]
        self.url = serving.socket_url(door)

    def close(self) -> None:
        self._open.close()


def _without_database(services: Services, control: HttpControlPlane) -> RouterServices:
    return RouterServices(services.store, services.embedder, services.indexes, control)
