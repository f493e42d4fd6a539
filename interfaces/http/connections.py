"""Limits for the connections that uvicorn holds.

uvicorn limits only the idle time between two requests: an incomplete request may take for ever, and
so may an answer that the client does not read. Here a connection is ended if it makes no progress,
and if room is needed for another: then the oldest connection without a complete request is closed,
of the client with the most of them. So a person gets in while another client opens a thousand.
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
from qdrant_rollouts.interfaces.access.planning import TooBusy
from qdrant_rollouts.interfaces.http import problems
from qdrant_rollouts.interfaces.http.limits import Limits, address_group
from qdrant_rollouts.interfaces.http.problems import MalformedHttp, RequestTooSlow

#: How many connections may wait to be accepted, and how many are accepted at once. asyncio has one
#: number for both, and accepts all of them without a pause: a thousand would take all descriptors.
BACKLOG = 2048
AT_ONCE = 16
#: uvicorn ticks ten times a second; one tick in this many checks every connection.
_LOOK_EVERY = 10
#: For SO_LINGER: on, for 0 s.
_NO_LINGER = struct.pack("ii", 1, 0)


class ConnectionRegistry(ServerState):
    """All connections of a server, and the requests being processed, by client."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.at_work: Counter[str] = Counter()

    @property
    def all(self) -> set["Connection"]:
        return cast("set[Connection]", self.connections)

    def make_room(self, newcomer: "Connection") -> None:
        """Ends another connection if there are too many; the new one, if all others are being
        served."""
        if len(self.connections) <= self.limits.connections:
            return
        longest = self._longest_unready(self.all - {newcomer}) or newcomer
        longest.end(TooBusy("too many connections are open; try again"))

    def refuse(self, asking: "Connection") -> TooBusy | None:
        """Returns why this request cannot be processed now. An incomplete request is ended to make
        room for it."""
        limits = self.limits
        whose = asking.whose
        if self.at_work[whose] >= limits.requests_of_one:
            among = {one for one in self.all if one.whose == whose}
            words = (
                f"{limits.requests_of_one} requests from your address are being processed; try "
                "again"
            )
        elif self.at_work.total() >= limits.requests:
            among = self.all
            words = f"{limits.requests} requests are being processed, the maximum; try again"
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
        """Chooses from the client with the most of them, so that one client cannot displace
        another; and prefers connections that were never answered, because others may belong to a
        person whose next request is on its way."""
        unready = [one for one in among if one.is_unready and not one.transport.is_closing()]
        of_each = Counter(one.whose for one in unready)
        return min(
            unready,
            key=lambda one: (-of_each[one.whose], one.was_answered, one.since),
            default=None,
        )


class Server(uvicorn.Server):
    """uvicorn's server, which checks its connections once a second."""

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
    """``since`` this time the client must send a request's headers, or the rest of it."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ConnectionRegistry,
        app_state: dict[str, Any],
        _loop: Any = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._crowd = server_state
        self._app, self.app = cast(ASGIApp, self.app), cast(Any, self._run_app)
        self.since = time.monotonic()
        #: Whether a complete request of it was answered.
        self.was_answered = False
        #: Requests that the app is processing: briefly two, if a client does not wait for answers.
        self._at_work = 0
        #: Bytes that the client had not read, and the time of that.
        self._untaken = 0
        self._untaken_since = self.since

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.whose = address_group(self.client[0] if self.client else "")
        self._crowd.make_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """An incomplete request whose client has gone is no longer processed."""
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
        """Whether it has sent no complete request that still needs an answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_raw_response(MalformedHttp(f"{msg} Send it as RFC 9112 has it.")))
        self.transport.close()

    def look(self, now: float) -> None:
        """Ends it if the client makes no progress."""
        if not self._is_taking(now):
            self._abort_transport()
        elif self.is_unready and not self.flow.read_paused and not self.transport.is_closing():
            limits = self._crowd.limits
            what = "headers"
            if self.at_work:
                what = "body"
            seconds = limits.headers
            if self.at_work:
                seconds = limits.body
            if now - self.since > seconds:
                self.end(
                    RequestTooSlow(
                        f"{what} did not come within {seconds:g} s; send the request again"
                    )
                )

    def end(self, why: TooBusy | RequestTooSlow) -> None:
        """Says why, if a request was begun and nothing was answered. Code that works for it sees
        that the client is gone."""
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
        """At once, and drops what the kernel still holds for the client."""
        door: socket.socket = self.transport.get_extra_info("socket")
        door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def _is_taking(self, now: float) -> bool:
        """Whether the client reads its waiting answer fast enough. While less waits than makes
        uvicorn pause, more may be added, so the speed cannot be judged."""
        limits = self._crowd.limits
        waiting = self.transport.get_write_buffer_size()
        adds = not self.flow.write_paused and self.at_work
        if not waiting or adds or waiting <= self._untaken - limits.pace or not self._untaken:
            self._untaken = waiting
            self._untaken_since = now
        return now - self._untaken_since <= limits.stall

    async def _run_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app, unless too many requests are being processed."""
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
        self._crowd.at_work += Counter()  # forgets clients without any


def _close_after_answer(send: Send) -> Send:
    """Closes the connection, so that a refused client does not keep it."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return answer


def _raw_response(why: AppError) -> bytes:
    """A complete answer, for a connection on which no request has been parsed."""
    answer = problems.error_response(why)
    lines = [
        b"HTTP/1.1 %d %s" % (answer.status_code, HTTPStatus(answer.status_code).phrase.encode()),
        b"connection: close",
    ]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])
