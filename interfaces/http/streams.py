"""Streams of events: each has no end and holds its connection, so there may be so many."""

from collections import Counter
from collections.abc import AsyncIterable, Mapping
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from qdrant_rollouts.interfaces.http.limits import Limits, address_group
from qdrant_rollouts.interfaces.http.problems import TooBusy

#: Seconds between two signs of life.
HEARTBEAT = 15


class Audience:
    """Everybody who listens to this process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.listening: Counter[str] = Counter()

    def check(self, request: Request) -> str:
        """Whose stream it will be. Raises TooBusy."""
        whose = address_group(request.client.host if request.client else "")
        if self.listening.total() >= self._limits.streams:
            raise TooBusy(f"{self._limits.streams} streams are open, as many as may be; close some")
        most = self._limits.streams_of_one
        if self.listening[whose] >= most:
            raise TooBusy(f"{most} streams to your address are open, as many as may be; close some")
        return whose


class Stream(EventSourceResponse):
    """Of ``events``. Raises TooBusy where too many listen."""

    def __init__(self, request: Request, events: AsyncIterable[Any], headers: Mapping[str, str] | None = None) -> None:
        self._audience: Audience = request.app.state.audience
        self._whose = self._audience.check(request)
        super().__init__(events, ping=HEARTBEAT, ping_message_factory=_heartbeat_event, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listening = self._audience.listening
        listening[self._whose] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            listening[self._whose] -= 1
            listening += Counter()  # forgets those who have none


def _heartbeat_event() -> ServerSentEvent:
    return ServerSentEvent(comment="ping")
