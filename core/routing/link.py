"""Whether the control plane answers this process, so that no search waits for one that does not.

Rule: a search waits for at most ``PATIENCE`` seconds, once. After that only a background thread
tries, with growing waits, and its result holds for all searches from then on. Routes and reports
are two topics: a token may be allowed to read routes and not to report, and then routes are
followed all the same.
"""

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from qdrant_rollouts.core.errors import AppError, Misconfigured, Refused, Unavailable
from qdrant_rollouts.core.routing.control_plane import NotReached

log = logging.getLogger(__name__)


class Topic(Enum):
    ROUTES = "routes"
    REPORTS = "reports"


#: Seconds; a connection attempt alone may take 5.
PATIENCE = 2.0
#: Seconds until the driver gives up: 5 for a connection, 5 for a statement.
_LONGEST_LOOK = 10.0
_FIRST_RETRY = 0.5
_LONGEST_RETRY = 1.0
#: Seconds between two log lines about the same problem.
_SAY_EVERY = 60.0
_AWAY = {
    Topic.ROUTES: "%s: no routes are read and nothing is written down: %s. Searches go by the last "
    "known route, or to the alias by its name (variant unrouted). It is tried again at least every "
    "%g s",
    Topic.REPORTS: "%s: observations wait in memory, because nothing is written down: %s. It is "
    "tried again at least every %g s",
}
T = TypeVar("T")


class Link:
    """``name`` is that of the control plane."""

    def __init__(self, process: str, name: str) -> None:
        self._process = process
        self._name = name
        self._errors: dict[Topic, AppError] = {}
        self._given_up: list[threading.Thread] = []
        #: Seconds between two attempts, and when the next one is due, by topic: reports that
        #: fail must not take the attempts of the routes.
        self._retry: dict[Topic, float] = {}
        self._try_at: dict[Topic, float] = {}
        self._lost_at = 0.0
        self._said_at = -_SAY_EVERY

    @property
    def error(self) -> AppError | None:
        """Why the control plane cannot be used; None if it can, as far as is known."""
        return next(iter(self._errors.copy().values()), None)

    @property
    def away_for(self) -> float:
        if not self._errors:
            return 0.0
        return time.monotonic() - self._lost_at

    def ask(self, read: Callable[[], T]) -> T:
        """For a search that needs a route. Raises an AppError at once while the control plane is
        known not to answer, and soon if it stops answering."""
        lost = self._errors.get(Topic.ROUTES)
        if lost is not None:
            raise lost
        found: list[T | AppError] = []
        thread = threading.Thread(
            target=lambda: found.append(self._try(read, Topic.ROUTES)), name="route", daemon=True
        )
        thread.start()
        thread.join(PATIENCE)
        if thread.is_alive():
            self._given_up.append(thread)
        if not found:
            silent = Unavailable(f"{self._name} did not answer within {PATIENCE:g} s")
            found.append(self._lose(silent, Topic.ROUTES))
        if isinstance(found[0], AppError):
            raise found[0]
        return found[0]

    def close(self) -> None:
        """Waits for looks that searches have given up, because each holds a connection; the driver
        ends them in time."""
        while self._given_up:
            self._given_up.pop().join(_LONGEST_LOOK)

    def read(self, read: Callable[[], T]) -> T:
        """For the background that follows routes; see ``report``."""
        return self._wait_for(read, Topic.ROUTES)

    def report(self, write: Callable[[], T], *, at_once: bool = False) -> T:
        """For the background: waits as long as necessary. Raises an AppError. While the control
        plane does not answer, it raises without a new attempt, unless one is due or must be
        ``at_once``."""
        return self._wait_for(write, Topic.REPORTS, at_once=at_once)

    def _wait_for(self, work: Callable[[], T], topic: Topic, *, at_once: bool = False) -> T:
        lost = self._errors.get(topic)
        if lost is not None and not at_once and time.monotonic() < self._try_at[topic]:
            raise lost
        found = self._try(work, topic)
        if isinstance(found, AppError):
            raise found
        return found

    def _try(self, work: Callable[[], T], topic: Topic) -> T | AppError:
        try:
            found: T | AppError = work()
        except NotReached as error:
            return self._lose(error.why, topic)
        except AppError as error:  # it has answered
            found = error
        except Exception as error:  # noqa: BLE001 - the threads of a router must not end
            unforeseen = Unavailable(f"{self._name} could not be used: {type(error).__name__}")
            unforeseen.__cause__ = error
            return self._lose(unforeseen, topic)
        self._find(topic)
        return found

    def _find(self, topic: Topic) -> None:
        """When routes are read again, reports are presumed to be taken too, until one fails."""
        lost = self._errors.pop(topic, None)
        self._retry.pop(topic, None)
        if topic is Topic.ROUTES and lost is not None:
            self._errors.clear()
        if lost is None or self._errors:
            return
        self._said_at = -_SAY_EVERY
        log.warning("%s: %s answers again; searches follow their routes", self._process, self._name)

    def _lose(self, error: AppError, topic: Topic) -> AppError:
        now = time.monotonic()
        if not self._errors:
            self._lost_at = now
        retry = min(max(2 * self._retry.get(topic, 0.0), _FIRST_RETRY), _LONGEST_RETRY)
        self._retry[topic] = retry
        self._try_at[topic] = now + retry
        self._errors[topic] = error
        if now >= self._said_at + _SAY_EVERY:
            self._said_at = now
            level = logging.WARNING
            if isinstance(error, Misconfigured | Refused):
                level = logging.ERROR
            log.log(level, _AWAY[topic], self._process, error, _LONGEST_RETRY)
        return error
