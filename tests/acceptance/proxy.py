"""A reverse proxy in front of Qdrant for search processes. It can make one collection slow or
failing.

It relays HTTP/1.1 messages with a length, which is all that the search path needs.
"""

import asyncio
import random
import re
import threading
from dataclasses import dataclass
from typing import Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SEARCHED = re.compile(rb"POST /collections/([^/ ]+)/points/query")
_REFUSAL = (
    b"HTTP/1.1 500 Internal Server Error\r\n"
    b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
)


@dataclass(frozen=True)
class Fault:
    """What happens to searches of collections whose name begins with ``prefix``, except those that
    are spared."""

    prefix: str
    delay: float = 0.0
    failing: float = 0.0


class Proxy:
    def __init__(
        self, port: int, target: int, faults: tuple[Fault, ...], spared: frozenset[str]
    ) -> None:
        self._port = port
        self._target = target
        self._faults = faults
        self._spared = spared
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._random = random.Random(1)

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            server, ask = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            answer.close()
            return
        try:
            while True:
                head, body = await _message(client)
                if await self._met(head, answer):
                    continue
                ask.write(head + body)
                answer.write(b"".join(await _message(server)))
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            ask.close()
            answer.close()

    async def _met(self, head: bytes, answer: asyncio.StreamWriter) -> bool:
        """Returns whether the fault has answered the request."""
        asked = _SEARCHED.match(head)
        name = asked[1].decode() if asked else ""
        fault = next((fault for fault in self._faults if name.startswith(fault.prefix)), None)
        if fault is None or name in self._spared:
            return False
        await asyncio.sleep(fault.delay)
        refused = self._random.random() < fault.failing
        if refused:
            answer.write(_REFUSAL)
        return refused


async def _message(stream: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await stream.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head, await stream.readexactly(int(length[1])) if length else b""
