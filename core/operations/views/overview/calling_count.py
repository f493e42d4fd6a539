"""How many indexes need attention, for the navigation of every page.

Rule: whoever counted last is believed for a few seconds. So however many pages are asked for, the
database is asked now and then only, by one of them; the others use the last count.
"""

import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts.core.operations.views.overview.home_page import count_calling
from qdrant_rollouts.core.operations.views.overview.store_snapshot import StoreSnapshot
from qdrant_rollouts.core.services import Services

#: Seconds for which a count is believed.
_BELIEVED = 5.0


class CallingCount:
    """May be called from any thread. ``read_clock`` returns seconds that only grow."""

    def __init__(
        self, services: Services, read_clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._services = services
        self._read_clock = read_clock
        self._count: int | None = None
        self._counted_at = float("-inf")
        self._guard = threading.Lock()

    def read(self, seen: StoreSnapshot) -> int | None:
        """Returns the count; None if it is not known, because the database does not answer."""
        if self._read_clock() - self._counted_at < _BELIEVED:
            return self._count
        if not self._guard.acquire(blocking=False):
            return self._count
        try:
            self.note(count_calling(self._services, seen))
        except SQLAlchemyError:
            self.note(None)
        finally:
            self._guard.release()
        return self._count

    def note(self, count: int | None) -> None:
        """Stores a count that a page has just made."""
        self._count = count
        self._counted_at = self._read_clock()
