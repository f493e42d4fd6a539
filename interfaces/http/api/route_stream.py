"""Changes of routes as they happen, as server-sent events, for routers in other processes.

Rule: however many routers listen, the database is asked a few times a second whether any route has
changed, and only then for the routes.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qdrant_rollouts.core.database.faults import explain_error
from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.interfaces.http import problems
from qdrant_rollouts.interfaces.http.security import REMEMBER_SECONDS, require_scope
from qdrant_rollouts.interfaces.http.streams import Stream

#: Seconds between two looks: a change must reach every router within a second.
POLL_SECONDS = 0.25
#: Seconds between two keep-alive messages. A router takes a silent stream for a lost one.
HEARTBEAT = 2


@dataclass(frozen=True, slots=True)
class _Look:
    tag: str = ""
    routes: Sequence[Route] = ()


class RouteNews:
    """All routes as last read, used by any number of listeners."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()
        self._looked_at = 0.0
        self._last = _Look()

    async def look(self) -> Sequence[Route]:
        asked = time.monotonic()
        async with self._lock:
            if self._looked_at < asked:
                await asyncio.sleep(max(0.0, self._looked_at + POLL_SECONDS - asked))
                self._last = await run_in_threadpool(self._read_changes)
                self._looked_at = time.monotonic()
            return self._last.routes

    def _read_changes(self) -> _Look:
        with self._services.sessions() as session:
            tag = table.compute_routes_tag(session)
            if tag == self._last.tag:
                return self._last
            return _Look(tag, table.read_all_routes(session))


async def stream_routes(request: Request) -> Response:
    """Sends all routes first, and from then on those that change. The stream ends when the client
    disconnects or may no longer read routes."""
    await run_in_threadpool(require_scope, request, "routes")
    return Stream(request, _changed_routes(request), ping=HEARTBEAT)


async def _changed_routes(request: Request) -> AsyncIterator[ServerSentEvent]:
    news: RouteNews = request.app.state.route_news
    sent: dict[str, Route] | None = None
    checked = time.monotonic()
    while True:
        try:
            if time.monotonic() > checked + REMEMBER_SECONDS:
                await run_in_threadpool(require_scope, request, "routes")
                checked = time.monotonic()
            routes = await news.look()
        except (AppError, SQLAlchemyError) as error:
            yield _end_event(error)
            return
        changed = [route for route in routes if sent is None or sent.get(route.alias) != route]
        if changed or sent is None:
            yield ServerSentEvent(_routes_as_json(changed), event="routes")
        sent = {route.alias: route for route in routes}


def _end_event(error: AppError | SQLAlchemyError) -> ServerSentEvent:
    explained = error
    if isinstance(explained, SQLAlchemyError):
        explained = explain_error(explained)
    content = problems.problem_content(explained)
    return ServerSentEvent(json.dumps(content, ensure_ascii=False), event="end")


def _routes_as_json(routes: Sequence[Route]) -> str:
    return json.dumps({"routes": [route.to_json() for route in routes]}, ensure_ascii=False)
