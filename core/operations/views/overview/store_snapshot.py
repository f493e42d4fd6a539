"""Reads Qdrant and the index file in the background, so a page never waits for them and never fails
because of them.

Rule: one look at a time, in its own thread, and looking takes at most a twentieth of the time. A
page uses the latest look, with its time; it shows what could not be asked, and since when.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from qdrant_rollouts.core.collections.restorable import check_server
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.errors import AppError, Refused
from qdrant_rollouts.core.services import Services

#: Minimum seconds from one look to the next, and how many times as long as the look itself took.
_PAUSE_SECONDS = 4.0
_PAUSE_FACTOR = 20.0
#: Maximum seconds until the index file was read for the first time.
_FILE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """``aliases`` and ``collections`` are None until they were read once; ``at`` is the time.
    ``error`` is why they cannot be read now, ``since`` when that began. ``declared``: the index
    file, or its last readable content."""

    aliases: Mapping[str, str] | None = None
    collections: frozenset[str] | None = None
    at: datetime | None = None
    error: str = ""
    since: datetime | None = None
    declared: Mapping[str, IndexSpec] = field(default_factory=dict)
    file_error: str = ""
    no_backups: str = ""


class StoreWatcher:
    """May be called from any thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._seen = StoreSnapshot()
        self._guard = threading.Lock()
        self._next = 0.0
        self._done = threading.Event()
        self._done.set()
        self._read = threading.Event()

    def look(self, patience: float = 0.1) -> StoreSnapshot:
        """Returns the latest look; waits at most ``patience`` seconds for a running one. The very
        first call also waits for the index file, because without it an index that was never built
        would be unknown."""
        with self._guard:
            if self._done.is_set() and time.monotonic() >= self._next:
                self._done.clear()
                threading.Thread(
                    target=self._refresh_snapshot, name="store snapshot", daemon=True
                ).start()
        self._read.wait(_FILE_SECONDS)
        self._done.wait(patience)
        return self._seen

    def _refresh_snapshot(self) -> None:
        began = time.monotonic()
        try:
            self._seen = _add_index_file(self._services, self._seen)
            self._read.set()
            self._seen = _add_store_state(self._services, self._seen)
        finally:
            ended = time.monotonic()
            self._next = ended + max(_PAUSE_SECONDS, _PAUSE_FACTOR * (ended - began))
            self._done.set()


def read_snapshot_now(services: Services) -> StoreSnapshot:
    """For a caller that asks once and waits for the answer."""
    return _add_store_state(services, _add_index_file(services, StoreSnapshot()))


def _add_index_file(services: Services, seen: StoreSnapshot) -> StoreSnapshot:
    try:
        return replace(seen, declared=services.indexes(), file_error="")
    except AppError as error:
        return replace(seen, file_error=str(error))


def _add_store_state(services: Services, seen: StoreSnapshot) -> StoreSnapshot:
    now = datetime.now(UTC)
    try:
        aliases = services.store.aliases()
        there = frozenset(services.store.collections())
        no_backups = _why_no_backups(services)
    except AppError as error:
        return replace(seen, error=str(error), since=seen.since or now)
    return replace(
        seen,
        aliases=aliases,
        collections=there,
        no_backups=no_backups,
        at=now,
        error="",
        since=None,
    )


def _why_no_backups(services: Services) -> str:
    try:
        check_server(services.store)
    except Refused as error:
        return str(error)
    return ""
