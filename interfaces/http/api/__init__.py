"""The HTTP API, ``/api/v1``."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from interfaces.http.security import caller


def routes() -> list[BaseRoute]:
    return [Route("/api/v1/me", _me)]


def _me(request: Request) -> JSONResponse:
    found = caller(request)
    return JSONResponse({"name": found.name, "scopes": sorted(found.scopes)})
