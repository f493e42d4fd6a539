"""Connections of strangers: how uvicorn holds them, within limits.

uvicorn bounds the idle time between two requests and nothing else: half a request may take for
ever, and so may an answer that nobody takes. Here a connection is ended when it does not get on,
and when room is needed for another: then the oldest goes of those that have sent no whole request,
of whoever has the most of them. So a person gets in while somebody else opens a thousand.
"""

import socket
import struct
import time
from collections import Counter
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from qdrant_rollouts.core.errors import AppError
from qdrant_rollouts.interfaces.http import problems
from qdrant_rollouts.interfaces.http.limits import Limits, address_group
from qdrant_rollouts.interfaces.http.problems import MalformedHttp, RequestTooSlow, TooBusy

#: How many may wait until they are taken in, and how many are taken in at once. asyncio has one
#: number for both, and lets nobody look in between: a thousand would have all descriptors by then.
BACKLOG = 2048
AT_ONCE = 16
#: Of uvicorn's ticks, ten a second, one in so many looks at every connection.
_LOOK_EVERY = 10
#: For SO_LINGER: on, for 0 s.
_NO_LINGER = struct.pack("ii", 1, 0)


class ConnectionRegistry(ServerState):
    """All connections of a server, and the requests that are worked at, of whom."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.at_work: Counter[str] = Counter()

    @property
    def all(self) -> set["Connection"]:
        return cast("set[Connection]", self.connections)

    def make_room(self, newcomer: "Connection") -> None:
        """Ends another connection if there are too many; the newcomer, if all others are served."""
        if len(self.connections) <= self.limits.connections:
            return
        longest = self._longest_unready(self.all - {newcomer}) or newcomer
        longest.end(TooBusy("too many connections are open; ask again"))

    def refuse(self, asking: "Connection") -> TooBusy | None:
        """Why this request cannot be worked at now. One that is not whole yet is ended for it."""
        limits = self.limits
        whose = asking.whose
        if self.at_work[whose] >= limits.requests_of_one:
            among = {one for one in self.all if one.whose == whose}
            words = f"{limits.requests_of_one} requests from your address are under way; ask again"
        elif self.at_work.total() >= limits.requests:
            among = self.all
            words = f"{limits.requests} requests are under way, as many as may be; ask again"
        else:
            return None
        unready = self._longest_unready({one for one in among if one.at_work})
        if unready is None:
            return TooBusy(words)
        unready.end(TooBusy("too many requests are not whole yet; send it again"))
        return None

    def look(self) -> None:
        now = time.monotonic()
        for connection in list(self.all):
            connection.look(now)

    @staticmethod
    def _longest_unready(among: set["Connection"]) -> "Connection | None":
        """Of whoever has the most of them, so that one cannot push out another; and of those rather one that was never
        answered: it is not a person's whose next request may be on its way."""
        unready = [one for one in among if one.is_unready and not one.transport.is_closing()]
        of_each = Counter(one.whose for one in unready)
        return min(unready, key=lambda one: (-of_each[one.whose], one.was_answered, one.since), default=None)


class Server(uvicorn.Server):
    """uvicorn's, which looks at its connections once a second."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self.server_state = self._crowd = ConnectionRegistry(limits)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for door in sockets or ():
            door.listen(BACKLOG)

    async def on_tick(self, counter: int) -> bool:
        if counter % _LOOK_EVERY == 0:
            self._crowd.look()
        return await super().on_tick(counter)


class Connection(H11Protocol):
    """``since`` then it is the client's turn to send a request's headers, or the rest of it."""

    def __init__(
        self, config: uvicorn.Config, server_state: ConnectionRegistry, app_state: dict[str, Any], _loop: Any = None
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._crowd = server_state
        self._app, self.app = cast(ASGIApp, self.app), cast(Any, self._run_app)
        self.since = time.monotonic()
        #: Whether a whole request of it was answered.
        self.was_answered = False
        #: Requests that the app has: two for a moment, of a client that waits for no answer.
        self._at_work = 0
        #: Bytes that the client had not taken, and when that was.
        self._untaken = 0
        self._untaken_since = self.since

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.whose = address_group(self.client[0] if self.client else "")
        self._crowd.make_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Half a request whose client has gone is nothing that is worked at any more."""
        if self.at_work and self.is_unready:
            self._count_requests(-self._at_work)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self.since = time.monotonic()
        self.was_answered = self.was_answered or not self.cycle.more_body
        super().on_response_complete()

    @property
    def at_work(self) -> bool:
        return self._at_work > 0

    @property
    def is_unready(self) -> bool:
        """Whether it has sent no whole request that is yet to be answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_raw_response(MalformedHttp(f"{msg} Send it as RFC 9112 has it.")))
        self.transport.close()

    def look(self, now: float) -> None:
        """Ends it if the client does not get on."""
        if not self._is_taking(now):
            self._abort_transport()
        elif self.is_unready and not self.flow.read_paused and not self.transport.is_closing():
            limits = self._crowd.limits
            what = "body" if self.at_work else "headers"
            seconds = limits.body if self.at_work else limits.headers
            if now - self.since > seconds:
                self.end(RequestTooSlow(f"{what} did not come within {seconds:g} s; send the request again"))

    def end(self, why: TooBusy | RequestTooSlow) -> None:
        """Says why, if something was begun and nothing was answered. Whatever works for it finds
        the client gone."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            begun = bool(self.conn.trailing_data[0])
        else:
            begun = not cycle.response_started
        if begun and not self.transport.is_closing():
            self.transport.write(_raw_response(why))
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.get_write_buffer_size():
            self._abort_transport()
        else:
            self.transport.close()

    def _abort_transport(self) -> None:
        """At once, with what the kernel still holds for it, which nobody takes."""
        door: socket.socket = self.transport.get_extra_info("socket")
        door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def _is_taking(self, now: float) -> bool:
        """Whether the client takes what waits for it, at some pace. While less waits than makes
        uvicorn pause, more may be added, so that nothing can be said of the pace."""
        limits = self._crowd.limits
        waiting = self.transport.get_write_buffer_size()
        adds = not self.flow.write_paused and self.at_work
        if not waiting or adds or waiting <= self._untaken - limits.pace or not self._untaken:
            self._untaken = waiting
            self._untaken_since = now
        return now - self._untaken_since <= limits.stall

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app's, unless too many are worked at."""
        refused = self._crowd.refuse(self)
        if refused is not None:
            await problems.error_response(refused)(scope, receive, _close_after_answer(send))
            return
        self.since = time.monotonic()
        self._count_requests(1)
        try:
            await self._app(scope, receive, send)
        finally:
            if self._at_work:
                self._count_requests(-1)

    def _count_requests(self, more: int) -> None:
        self._at_work += more
        self._crowd.at_work[self.whose] += more
        self._crowd.at_work += Counter()  # forgets those who have none


def _close_after_answer(send: Send) -> Send:
    """The connection is not kept: who was refused shall not hold on to it."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return answer


def _raw_response(why: AppError) -> bytes:
    """A whole answer, for a connection on which no request has been understood."""
    answer = problems.error_response(why)
    lines = [
        b"HTTP/1.1 %d %s" % (answer.status_code, HTTPStatus(answer.status_code).phrase.encode()),
        b"connection: close",
    ]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])
