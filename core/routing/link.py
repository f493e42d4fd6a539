"""Whether the control plane answers this process, so that no search waits for one that does not.

Rule: a search waits for at most ``PATIENCE`` seconds, once. After that only a background thread
tries, with growing waits, and its result holds for all searches from then on.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from qdrant_rollouts.core.errors import AppError, Misconfigured, Refused, Unavailable
from qdrant_rollouts.core.routing.control_plane import NotReached

log = logging.getLogger(__name__)

#: Seconds; a connection attempt alone may take 5.
PATIENCE = 2.0
#: Seconds until the driver gives up: 5 for a connection, 5 for a statement.
_LONGEST_LOOK = 10.0
_FIRST_RETRY = 0.5
_LONGEST_RETRY = 1.0
#: Seconds between two log lines about the same problem.
_SAY_EVERY = 60.0
_AWAY = (
    "%s: no routes are read and nothing is written down: %s. Searches go by the last known route, "
    "or to the alias by "
    "its name (variant unrouted). It is tried again at least every %g s"
)
T = TypeVar("T")


class Link:
    """``name`` is that of the control plane."""

    def __init__(self, process: str, name: str) -> None:
        self._process = process
        self._name = name
        self._error: AppError | None = None
        self._given_up: list[threading.Thread] = []
        self._retry = 0.0
        self._try_at = 0.0
        self._lost_at = 0.0
        self._said_at = -_SAY_EVERY

    @property
    def error(self) -> AppError | None:
        """Why the control plane cannot be used; None if it can, as far as is known."""
        return self._error

    @property
    def away_for(self) -> float:
        if not self._error:
            return 0.0
        return time.monotonic() - self._lost_at

    def ask(self, read: Callable[[], T]) -> T:
        """For a search. Raises an AppError at once while the control plane is known not to answer,
        and soon if it stops answering."""
        if self._error is not None:
            raise self._error
        found: list[T | AppError] = []
        thread = threading.Thread(
            target=lambda: found.append(self._try_read(read)), name="route", daemon=True
        )
        thread.start()
        thread.join(PATIENCE)
        if thread.is_alive():
            self._given_up.append(thread)
        if not found:
            found.append(
                self._lose(Unavailable(f"{self._name} did not answer within {PATIENCE:g} s"))
            )
        if isinstance(found[0], AppError):
            raise found[0]
        return found[0]

    def close(self) -> None:
        """Waits for looks that searches have given up, because each holds a connection; the driver
        ends them in time."""
        while self._given_up:
            self._given_up.pop().join(_LONGEST_LOOK)

    def read(self, read: Callable[[], T], *, at_once: bool = False) -> T:
        """For the background: waits as long as necessary. Raises an AppError. While the control
        plane does not answer, it raises without a new attempt, unless one is due or must be
        ``at_once``."""
        if self._error is not None and time.monotonic() < self._try_at and not at_once:
            raise self._error
        found = self._try_read(read)
        if isinstance(found, AppError):
            raise found
        return found

    def _try_read(self, read: Callable[[], T]) -> T | AppError:
        try:
            found: T | AppError = read()
        except NotReached as error:
            return self._lose(error.why)
        except AppError as error:  # it has answered
            found = error
        self._find()
        return found

    def _find(self) -> None:
        lost = self._error
        self._error = None
        self._retry = 0.0
        if lost is not None:
            log.warning(
                "%s: %s answers again; searches follow their routes", self._process, self._name
            )
            self._said_at = -_SAY_EVERY

    def _lose(self, error: AppError) -> AppError:
        now = time.monotonic()
        if self._error is None:
            self._lost_at = now
        self._error = error
        self._retry = min(max(2 * self._retry, _FIRST_RETRY), _LONGEST_RETRY)
        self._try_at = now + self._retry
        if now >= self._said_at + _SAY_EVERY:
            self._said_at = now
            level = logging.WARNING
            if isinstance(error, Misconfigured | Refused):
                level = logging.ERROR
            log.log(level, _AWAY, self._process, error, _LONGEST_RETRY)
        return error
