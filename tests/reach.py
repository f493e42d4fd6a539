"""How the routers of a world reach its routes."""

from typing import Protocol

from qdrant_rollouts.adapters.qdrant_async import ThreadedSearches
from qdrant_rollouts.core.routing import AsyncRouter, Router
from qdrant_rollouts.core.services import Services


class Reach(Protocol):
    def begin(self, services: Services) -> None:
        """Starts what routers need, while the database is there."""

    def open_router(self, services: Services) -> Router: ...

    def open_async_router(self, services: Services) -> AsyncRouter: ...

    def close(self) -> None: ...


class ByDatabase:
    def begin(self, services: Services) -> None:
        """Needs nothing."""

    def open_router(self, services: Services) -> Router:
        return Router(services)

    def open_async_router(self, services: Services) -> AsyncRouter:
        return AsyncRouter(services, ThreadedSearches(services.store))

    def close(self) -> None:
        """Has nothing open."""
