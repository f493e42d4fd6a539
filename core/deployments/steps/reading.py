"""Opens the source that a deployment reads its records from, and reads its rows by windows."""

import time
from collections import deque
from collections.abc import Callable, Iterator

from qdrant_rollouts.core.collections.parts import open_part
from qdrant_rollouts.core.collections.recovered import RecoveredSource
from qdrant_rollouts.core.config.id_fields import with_declared_ids
from qdrant_rollouts.core.database.step_data import Unset
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps.backup_data import UnpackedSource
from qdrant_rollouts.core.errors import Limited
from qdrant_rollouts.core.ports import Cursor, Row, Source

#: Reads the rows after a cursor.
ReadAfter = Callable[[Cursor | None], Iterator[Row]]


class OpenRows:
    """The rows of a source that one turn reads, window by window. They stay open between two
    windows, because a source may need long to find the place of a cursor.

    Rule: rows that have raised are opened again. An iterator that has raised gives no more rows,
    as if the source were at its end.
    """

    def __init__(self) -> None:
        self._rows: Iterator[Row] | None = None
        self._ahead: deque[Row] = deque()
        self._begun: Cursor | None = None
        self._given: list[Row] = []

    def go_to(self, cursor: Cursor | None, read: ReadAfter) -> None:
        """Makes the row after ``cursor`` the next one, and waits for it. So a clock that is started
        then does not measure how long the source looks for the place."""
        if self._rows is None or not self._step_back(cursor):
            self.close()
            self._rows = read(cursor)
        self._begun = cursor
        self._given = []
        if not self._ahead:
            rows, self._rows = self._rows, None
            first = next(rows, None)
            self._rows = rows
            if first is not None:
                self._ahead.append(first)

    def close(self) -> None:
        """The rows are opened again, wherever they are read next."""
        self._rows = None
        self._ahead.clear()

    def read_window(self, most: int, seconds: float) -> tuple[list[Row], bool]:
        """Returns the next rows, at most so many and as many as come in ``seconds``, and whether
        the source may have more. Rows before the source's own rate limit are a window. Raises
        Limited if there are none."""
        ends = time.monotonic() + seconds
        if self._given:
            self._begun = self._given[-1].cursor
        window = self._given = []
        rows, self._rows = self._rows, None
        assert rows is not None
        try:
            while len(window) < most and (not window or time.monotonic() <= ends):
                row = self._ahead.popleft() if self._ahead else next(rows, None)
                if row is None:
                    return window, False
                window.append(row)
        except Limited:
            if not window:
                raise
            return window, True
        self._rows = rows
        return window, True

    def _step_back(self, cursor: Cursor | None) -> bool:
        """Puts back those rows of the last window that are after ``cursor``. Returns whether this
        is a place in that window."""
        places = [self._begun, *(row.cursor for row in self._given)]
        for taken in range(len(places) - 1, -1, -1):
            if places[taken] == cursor:
                self._ahead.extendleft(reversed(self._given[taken:]))
                return True
        return False


def open_deployment_source(context: StepContext) -> Source:
    """Returns the deployment's source. A backup is read from the collection that it was recovered
    into."""
    named = context.deployment.source
    services = context.services
    assert named is not None
    unpacked = context.outputs.find(UnpackedSource)
    if unpacked is None:
        return with_declared_ids(services.source(named), context.deployment.spec)
    return RecoveredSource(
        services.source(named), services.source(f"collection:{unpacked.collection}")
    )


def why_changed(context: StepContext, source: Source, known: str | Unset | None) -> str:
    """Returns why green cannot be filled any further, if the source is another one than when that
    began; else nothing."""
    if source.fingerprint() == known:
        return ""
    return f"{context.deployment.source} changed while it was being read; deploy again"


def open_part_of_source(context: StepContext, start: Cursor | None, stop: Cursor | None) -> Source:
    """Returns the part of the deployment's source after ``start`` up to ``stop``."""
    named = context.deployment.source
    assert named is not None
    part = open_part(context.services.source(named), start, stop)
    return with_declared_ids(part, context.deployment.spec)
