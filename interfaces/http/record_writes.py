"""Writes of records that are under way in the web process: how many may be, and their desk."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from qdrant_rollouts.adapters.writer_desk import DeskOfClient
from qdrant_rollouts.core.errors import AppError, Limited
from qdrant_rollouts.core.journal.desk import WriterDesk
from qdrant_rollouts.core.services import Services

#: Each holds a thread of the process, and may have to wait for the end of a fence. The others are
#: for searches and pages.
MOST_AT_ONCE = 8


class TooManyWrites(AppError):
    """Too many writes of records at once; repeat it."""

    def __init__(self, message: str = "", seconds: float = 1.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class RecordWrites:
    """The desk is opened by the first write, and kept until the process ends."""

    def __init__(self, services: Services, most: int = MOST_AT_ONCE) -> None:
        url = services.engine.url.render_as_string(hide_password=False)
        self._desk = DeskOfClient(url)
        self._most = most
        self._free = threading.BoundedSemaphore(most)

    @contextmanager
    def admit(self) -> Iterator[WriterDesk]:
        """Lets one write begin. Raises TooManyWrites if too many are under way, or if the
        collection takes none for a moment."""
        if not self._free.acquire(blocking=False):
            raise TooManyWrites(
                f"{self._most} writes of records are under way in this process, as many as may be; "
                "nothing was written, repeat it"
            )
        try:
            yield self._desk.open_desk()
        except Limited as error:
            raise TooManyWrites(str(error), error.seconds) from error
        finally:
            self._free.release()

    def close(self) -> None:
        self._desk.close()
