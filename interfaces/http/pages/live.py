"""Tells open pages that something has changed; they then load themselves again, and replace what
differs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from qdrant_rollouts.core.operations.views.overview.change_stamp import compute_change_stamp
from qdrant_rollouts.core.services import Services

#: Seconds from one look at the database to the next; one look for all listeners, and none without
#: listeners.
_POLL_SECONDS = 1.0


class Pulse:
    """Belongs to one event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._listeners = 0
        self._count = 0
        self._changed = asyncio.Event()
        self._alone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def listen(self) -> AsyncIterator[dict[str, str]]:
        """Yields an event of the stream for each change, or for several at once; and one at the
        beginning, because something may have changed between the page and the stream."""
        self._listeners += 1
        self._alone.clear()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch_database())
        heard = self._count
        try:
            while True:
                yield {"event": "changed", "data": str(heard)}
                while self._count == heard:
                    await self._changed.wait()
                heard = self._count
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._alone.set()

    async def _watch_database(self) -> None:
        stamp = ""
        while self._listeners:
            with suppress(SQLAlchemyError):  # a database that does not answer has no news
                seen = await run_in_threadpool(compute_change_stamp, self._services)
                if stamp and seen != stamp:
                    self._wake_listeners()
                stamp = seen
            with suppress(TimeoutError):
                await asyncio.wait_for(self._alone.wait(), _POLL_SECONDS)

    def _wake_listeners(self) -> None:
        self._count += 1
        told = self._changed
        self._changed = asyncio.Event()
        told.set()
