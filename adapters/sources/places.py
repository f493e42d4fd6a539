"""Reads a part of a source whose rows have places that can be compared here."""

from collections.abc import Iterator
from itertools import dropwhile, takewhile
from typing import Any, Protocol

from qdrant_rollouts.core.ports import Cursor, Row


class PlacedSource(Protocol):
    def read(self, cursor: Cursor | None) -> Iterator[Row]: ...

    def find_place(self, cursor: Cursor) -> Any:
        """Returns the place of a row by its cursor. Places grow in the order of reading."""


def read_between(
    source: PlacedSource, cursor: Cursor | None, start: Cursor | None, stop: Cursor | None
) -> Iterator[Row]:
    """As ``SplitSource.read_part``."""

    def is_before(row: Row) -> bool:
        """Some sources begin with the row at the cut itself."""
        return start is not None and not is_beyond(row, start)

    def is_within(row: Row) -> bool:
        return stop is None or not is_beyond(row, stop)

    def is_beyond(row: Row, cut: Cursor) -> bool:
        return bool(source.find_place(row.cursor) > source.find_place(cut))

    rows = source.read(cursor or start)
    if cursor is None:
        rows = dropwhile(is_before, rows)
    return takewhile(is_within, rows)
