"""What endpoints work with: made once by ``make_app``, found by ``of(request)``."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from core.overview.sight import Sight
from core.routing import Router
from core.services import Services
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class House:
    """``router`` is the one of this process; it is closed when the process ends. ``sight`` is what Qdrant and the index
    file say, as it was last seen."""

    services: Services
    settings: Settings
    router: Router
    sight: Sight

    @property
    def api_token(self) -> str:
        return self.settings.api_token.get_secret_value()


def of(connection: HTTPConnection) -> House:
    house: House = connection.app.state.house
    return house
