"""Streams of events: each has no end and occupies its connection, so their number is limited."""

from collections import Counter
from collections.abc import AsyncIterable, Mapping
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from qdrant_rollouts.interfaces.access.planning import TooBusy
from qdrant_rollouts.interfaces.http.limits import Limits, address_group

#: Seconds between two keep-alive messages.
HEARTBEAT = 15


class Audience:
    """All listeners of this process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.listening: Counter[str] = Counter()

    def check(self, request: Request) -> str:
        """Checks whether this caller may open a stream. Raises TooBusy."""
        whose = address_group(request.client.host if request.client else "")
        if self.listening.total() >= self._limits.streams:
            raise TooBusy(f"{self._limits.streams} streams are open, as many as may be; close some")
        most = self._limits.streams_of_one
        if self.listening[whose] >= most:
            raise TooBusy(f"{most} streams to your address are open, as many as may be; close some")
        return whose


class Stream(EventSourceResponse):
    """A stream of ``events``. Raises TooBusy if there are too many listeners."""

    def __init__(
        self,
        request: Request,
        events: AsyncIterable[Any],
        headers: Mapping[str, str] | None = None,
        ping: int = HEARTBEAT,
    ) -> None:
        self._audience: Audience = request.app.state.audience
        self._whose = self._audience.check(request)
        super().__init__(events, ping=ping, ping_message_factory=_heartbeat_event, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listening = self._audience.listening
        listening[self._whose] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            listening[self._whose] -= 1
            listening += Counter()  # forgets callers without any


def _heartbeat_event() -> ServerSentEvent:
    return ServerSentEvent(comment="ping")
