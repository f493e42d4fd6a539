"""A part of a source: what one of several workers reads."""

from collections.abc import Iterator, Sequence
from itertools import dropwhile, takewhile

from qdrant_rollouts.core.ports import Cursor, Row, Source, SplitSource, WrappedSource


def find_cuts(source: Source, parts: int) -> Sequence[Cursor]:
    """Returns where the second part and each later one begin; none if the source is read in one
    part."""
    if parts < 2 or not isinstance(source, SplitSource):
        return ()
    return source.split(parts)


def limit_parts(source: Source, parts: int) -> int:
    """Returns into how many parts it is worth to cut the source, at most ``parts``."""
    if not isinstance(source, SplitSource):
        return 1
    return max(1, min(parts, source.size() // source.least_part))


def open_part(source: Source, start: Cursor | None, stop: Cursor | None) -> Source:
    """Returns the part of the source after ``start`` up to ``stop``; None: from its beginning, or
    to its end."""
    if start is None and stop is None:
        return source
    assert isinstance(source, SplitSource)
    return PartOfSource(source, source, start, stop)


class PartOfSource(WrappedSource):
    """Cursors, places in messages and ``size`` are those of the whole source."""

    def __init__(
        self, source: Source, cutter: SplitSource, start: Cursor | None, stop: Cursor | None
    ) -> None:
        super().__init__(source)
        self._cutter = cutter
        self._start = start
        self._stop = stop

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        rows = self._source.read(cursor or self._start)
        if cursor is None:
            rows = dropwhile(self._is_before, rows)
        return takewhile(self._is_within, rows)

    def _is_before(self, row: Row) -> bool:
        """Some sources begin with the row at the cut itself."""
        return self._start is not None and not self._is_beyond(row, self._start)

    def _is_within(self, row: Row) -> bool:
        return self._stop is None or not self._is_beyond(row, self._stop)

    def _is_beyond(self, row: Row, cut: Cursor) -> bool:
        find_place = self._cutter.find_place
        return bool(find_place(row.cursor) > find_place(cut))
