"""A process reports to the database that it is alive, from a separate thread: see
``core.deployments.workers``.

Rule: a worker's main process forks its children. A child would hold for ever what a library holds
at that moment (a lock of SQLite, half a message to PostgreSQL). So this module has its own engine
without a pool, and while it talks to the database no child is started, for ``_FORK_WAITS`` at most:
a connection that waits for a silent server holds nothing that a child would need.
"""

import importlib.metadata
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters import database
from qdrant_rollouts.core.deployments import workers
from qdrant_rollouts.core.deployments.workers import Said
from qdrant_rollouts.core.errors import AppError

log = logging.getLogger(__name__)

#: Seconds between two rows, and between two checks whether there is room for one more.
EVERY = 10.0
LOOK = 1.0
#: Seconds between two warnings; the first comes when the last row no longer counts as an answer.
_WARN_EVERY = 60.0
#: Longer than SQLite waits for a lock.
_FORK_WAITS = 6.0


class Process:
    """What any process can report about itself."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self._began = time.monotonic()
        self._version = importlib.metadata.version("qdrant-rollouts")

    def describe(self, **more: Any) -> Said:
        return Said(
            name=self.name,
            kind=self.kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=self._version,
            revision=migrations.HEAD,
            up=time.monotonic() - self._began,
            **more,
        )


class Presence:
    """``look`` is called every second and must be quick: it measures how long there has been room.
    ``wall`` is this machine's clock. An outage of the database stops nothing."""

    def __init__(
        self,
        url: str,
        look: Callable[[], Said],
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = database.open_engine(url, pooled=False)
        self._sessions = database.open_sessions(self._engine)
        self._clock = database.DatabaseClock()
        self._look = look
        self._wall = wall
        self._now = now
        self._stopped = threading.Event()
        self._written = now()
        self._warned = -_WARN_EVERY
        self._thread = threading.Thread(target=self._keep_telling, name="presence", daemon=True)

    def start(self) -> None:
        _guard_forks()
        self._thread.start()

    def stop(self) -> None:
        """Removes the row, so that a process which ends normally is not missed."""
        self._stopped.set()
        self._thread.join(EVERY)
        said = self._look()
        try:
            with _TALKING, self._sessions.begin() as session:
                workers.withdraw(session, said.name, said.host, said.pid)
        except (AppError, SQLAlchemyError) as error:
            log.info("%s could not take its row away: %s", said.name, self._words(error))

    def _keep_telling(self) -> None:
        due = time.monotonic()
        while True:
            said = self._look()
            if time.monotonic() >= due:
                self._tell(said)
                due = time.monotonic() + EVERY
            if self._stopped.wait(LOOK):
                return

    def tell(self) -> None:
        """Writes the row now. Never raises if the database does not answer."""
        self._tell(self._look())

    def _tell(self, said: Said) -> None:
        try:
            with _TALKING, self._sessions.begin() as session:
                workers.announce(session, self._clock, said, self._wall)
            self._written = self._now()
        except (AppError, SQLAlchemyError) as error:
            self._warn(said.name, error)

    def _warn(self, name: str, error: Exception) -> None:
        """Warns only when the row is too old: a database that is being created has no table yet."""
        now = self._now()
        if (
            now - self._written < workers.ANSWERS.total_seconds()
            or now - self._warned < _WARN_EVERY
        ):
            return
        self._warned = now
        seconds = now - self._written
        log.warning(
            "%s could not report for %.0f s that it is alive: %s", name, seconds, self._words(error)
        )

    def _words(self, error: Exception) -> str:
        return str(
            error
            if isinstance(error, AppError)
            else database.unavailable_error(self._engine, error)
        )


_TALKING = threading.Lock()
_forking = threading.local()


def _before_fork() -> None:
    _forking.held = _TALKING.acquire(timeout=_FORK_WAITS)


def _after_fork() -> None:
    if _forking.held:
        _TALKING.release()


_guarded = threading.Event()


def _guard_forks() -> None:
    """Once per process, from the first presence on."""
    if not _guarded.is_set():
        _guarded.set()
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
        )
