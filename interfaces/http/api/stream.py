"""Events as they happen, as server-sent events, for pages and programs that watch.

Rule: however many clients listen, the database is asked once a second for its newest event; only if
there is a newer one does each listener read its own. Events may become visible in another order
than that of their ids, so the last ids are read again.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sse_starlette import ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qdrant_rollouts.core.config.index_file import validate_as
from qdrant_rollouts.core.errors import AppError, Malformed
from qdrant_rollouts.core.operations.views import audit_events
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.services import Services
from qdrant_rollouts.core.times import as_text
from qdrant_rollouts.interfaces.http import problems
from qdrant_rollouts.interfaces.http.api.requests.events import StreamQuery
from qdrant_rollouts.interfaces.http.app_context import context_of
from qdrant_rollouts.interfaces.http.security import require_scope
from qdrant_rollouts.interfaces.http.streams import Stream

#: Seconds between two looks.
POLL_SECONDS = 1.0
#: How many ids are read again: as many events as are written during one transaction.
_IDS_LOOKED_BACK = 100


class News:
    """The newest event, used by any number of listeners and read once a second."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()
        self._looked_at = 0.0
        self._newest = (0, 0)

    async def newest(self) -> tuple[int, int]:
        """Its id, and how many of the last ids exist now: if either grows, there is news."""
        asked = time.monotonic()
        async with self._lock:
            if self._looked_at < asked:
                await asyncio.sleep(max(0.0, self._looked_at + POLL_SECONDS - asked))
                self._newest = await run_in_threadpool(
                    audit_events.find_newest_event, self._services, _IDS_LOOKED_BACK
                )
                self._looked_at = time.monotonic()
            return self._newest


@dataclass(slots=True)
class _Listener:
    """``start``: earlier events are not sent. ``sent``: those of the last ids that were."""

    services: Services
    watched: StreamQuery
    start: int
    sent: set[int] = field(default_factory=set)

    def news(self) -> list[ServerSentEvent]:
        last = max(self.sent, default=self.start)
        found = audit_events.list_events_since(
            self.services,
            max(self.start, last - _IDS_LOOKED_BACK),
            self.watched.alias,
            self.watched.deployment,
        )
        new = [event for event in found if event["id"] not in self.sent]
        self.sent |= {event["id"] for event in new}
        oldest = max(self.sent, default=0) - _IDS_LOOKED_BACK
        self.sent = {id for id in self.sent if id > oldest}
        return [
            ServerSentEvent(
                json.dumps(event, ensure_ascii=False, default=as_text),
                id=str(event["id"]),
                event="change",
            )
            for event in new
        ]


async def stream_events(request: Request) -> Response:
    """Sends the events from now on, or those after ``Last-Event-ID``. The stream ends when the
    client disconnects or may no longer read."""
    await run_in_threadpool(require_scope, request, "read")
    watched = validate_as(StreamQuery, dict(request.query_params), "request")
    services = context_of(request).services
    start = _last_event_id(request)
    if start is None:
        newest = await run_in_threadpool(audit_events.find_newest_event, services, _IDS_LOOKED_BACK)
        start = newest[0]
    return Stream(request, _new_events(request, _Listener(services, watched, start)))


async def _new_events(request: Request, listener: _Listener) -> AsyncIterator[ServerSentEvent]:
    news: News = request.app.state.news
    seen: tuple[int, int] | None = None
    while True:
        try:
            await run_in_threadpool(require_scope, request, "read")
            newest = await news.newest()
            if newest != seen:
                for event in await run_in_threadpool(listener.news):
                    yield event
                seen = newest
        except AppError as error:
            yield ServerSentEvent(
                json.dumps(problems.problem_content(error), ensure_ascii=False), event="end"
            )
            return


def _last_event_id(request: Request) -> int | None:
    text = request.headers.get("last-event-id", "")
    if text and not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Malformed(
            f"Last-Event-ID is {quote_value(text)}; expected the id of an event, a whole number"
        )
    return int(text) if text else None
