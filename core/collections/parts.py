"""A part of a source: what one of several workers reads."""

from collections.abc import Iterator, Sequence

from qdrant_rollouts.core.ports import Cursor, Row, Source, SplitSource, WrappedSource


def find_cuts(source: Source, parts: int) -> Sequence[Cursor]:
    """Returns where the second part and each later one begin; none if the source is read in one
    part."""
    if parts < 2 or not isinstance(source, SplitSource):
        return ()
    return source.split(parts)


def limit_parts(source: Source, parts: int) -> int:
    """Returns into how many parts it is worth to cut the source, at most ``parts``."""
    if parts < 2 or not isinstance(source, SplitSource) or not source.least_part:
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
        return self._cutter.read_part(cursor, self._start, self._stop)
