"""What endpoints work with: created once by ``make_app``, found with ``context_of(request)``."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from qdrant_rollouts.core.config.settings import Settings
from qdrant_rollouts.core.operations.views.overview.calling_count import CallingCount
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreWatcher
from qdrant_rollouts.core.routing import Routers
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.http.record_writes import RecordWrites


@dataclass(frozen=True, slots=True)
class AppContext:
    """``routers`` and ``record_writes`` are closed when the process ends. ``watcher`` holds Qdrant
    and the index file as last read; ``calling``, how many indexes need attention."""

    services: Services
    settings: Settings
    routers: Routers
    watcher: StoreWatcher
    record_writes: RecordWrites
    calling: CallingCount

    @property
    def api_token(self) -> str:
        return self.settings.api_token.get_secret_value()


def context_of(connection: HTTPConnection) -> AppContext:
    context: AppContext = connection.app.state.context
    return context
