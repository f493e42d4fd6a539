"""The HTTP API, ``/api/v1``."""

from functools import cache

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from qdrant_rollouts.interfaces.http.api.document import build_document
from qdrant_rollouts.interfaces.http.api.endpoint import PREFIX, build_route
from qdrant_rollouts.interfaces.http.api.route_stream import stream_routes
from qdrant_rollouts.interfaces.http.api.stream import stream_events
from qdrant_rollouts.interfaces.http.api.table import ENDPOINTS


def api_routes() -> list[BaseRoute]:
    """Several methods of one path are separate routes, and Starlette uses the first path that
    matches; a method that it lacks is passed on to the next."""
    return [
        Route(f"{PREFIX}/openapi.json", _serve_document),
        Route(f"{PREFIX}/stream", stream_events),
        Route(f"{PREFIX}/routes/stream", stream_routes),
        *(build_route(endpoint) for endpoint in ENDPOINTS),
    ]


@cache
def _cached_document() -> JSONResponse:
    return JSONResponse(build_document(ENDPOINTS))


def _serve_document(request: Request) -> JSONResponse:
    """Public: it says how to send requests, and nothing about the data."""
    return _cached_document()
