"""What endpoints work with: made once by ``make_app``, found by ``of(request)``."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.operations.views.overview.sight import StoreWatcher
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.core.services import Services


@dataclass(frozen=True, slots=True)
class AppContext:
    """``routers`` are closed when the process ends. ``sight`` is what Qdrant and the index file say, as it was last
    seen."""

    services: Services
    settings: Settings
    routers: Routers
    sight: StoreWatcher

    @property
    def api_token(self) -> str:
        return self.settings.api_token.get_secret_value()


def context_of(connection: HTTPConnection) -> AppContext:
    house: AppContext = connection.app.state.house
    return house
