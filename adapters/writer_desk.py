"""The desk of this process (``core.journal.desk``) and the thread that renews its lease.

One serves all clients of a process, for each database. It is opened by the first write and closed
with the last client.
"""

import logging
import os
import secrets
import socket
import threading
from collections.abc import Mapping

from sqlalchemy import Engine

from qdrant_rollouts import migrations
from qdrant_rollouts.adapters.database import DatabaseClock, open_engine, open_sessions
from qdrant_rollouts.adapters.migrate import check_tables
from qdrant_rollouts.core.config.settings import load_settings
from qdrant_rollouts.core.errors import AppError, Unavailable
from qdrant_rollouts.core.journal.desk import WriterDesk
from qdrant_rollouts.core.journal.sql_writers import SqlWriterLedger
from qdrant_rollouts.core.journal.states import WriteState

log = logging.getLogger(__name__)


class CheckedLedger(SqlWriterLedger):
    """Checks the tables before it first uses them, whenever the database answers. A desk always
    renews first, and then twice a second, so it finds out about broken connections before most
    writes do."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(open_sessions(engine), DatabaseClock())
        self._engine = engine
        self._checked = False

    def renew_lease(self, process: str, confirmed: Mapping[str, int]) -> dict[str, WriteState]:
        if not self._checked:
            check_tables(self._engine, migrations.OLDEST_TO_WRITE)
            self._checked = True
        return super().renew_lease(process, confirmed)

    def withdraw_writer(self, process: str) -> None:
        """Before the tables are checked, nothing was written."""
        if self._checked:
            super().withdraw_writer(process)

    def close(self) -> None:
        self._engine.dispose()


class KeptDesk:
    """A desk whose lease is renewed until it is closed."""

    def __init__(self, database_url: str) -> None:
        process = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._ledger = CheckedLedger(open_engine(database_url, pinged=False))
        self.desk = WriterDesk(self._ledger, process)
        self.clients = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep_lease, name="writer-lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes by this desk have ended: nobody waits for its lease any more."""
        self._stopped.set()
        self._thread.join()
        try:
            self._ledger.withdraw_writer(self.desk.process)
        except Unavailable as error:
            log.warning("the lease of %s ends by itself: %s", self.desk.process, error)
        self._ledger.close()

    def _keep_lease(self) -> None:
        away = False
        while not self._stopped.is_set():
            try:
                self.desk.renew_lease()
                away = False
            except AppError as error:
                if not away:
                    log.warning("the lease of %s was not renewed: %s", self.desk.process, error)
                away = True
            self._stopped.wait(self.desk.bounds.renew_every)


_guard = threading.Lock()
#: By process and database; a child process does not use what its parent has opened.
_desks: dict[tuple[int, str], KeptDesk] = {}


class DeskOfClient:
    """What a client holds: the process's desk, from its first write on. ``database_url`` is that of
    the settings unless it is given."""

    def __init__(self, database_url: str = "") -> None:
        self._database_url = database_url
        self._held: tuple[int, str] | None = None

    def open_desk(self) -> WriterDesk:
        """Returns the desk. Raises what invalid settings raise."""
        held = self._held
        if held is None or held[0] != os.getpid():
            held = self._join_desk()
        return _desks[held].desk

    def _join_desk(self) -> tuple[int, str]:
        url = self._database_url or load_settings().database_url.get_secret_value()
        key = (os.getpid(), url)
        with _guard:
            if self._held == key:  # another thread of this client was first
                return key
            if key not in _desks:
                _desks[key] = KeptDesk(key[1])
            _desks[key].clients += 1
            self._held = key
        return key

    def close(self) -> None:
        held = self._held
        self._held = None
        if held is None or held[0] != os.getpid():
            return
        with _guard:
            kept = _desks[held]
            kept.clients -= 1
            if not kept.clients:
                del _desks[held]
        if not kept.clients:
            kept.close()
