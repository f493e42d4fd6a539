"""A sample of a source: some of its rows, read within bounds.

Rule: what cannot be counted is not guessed.
"""

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qdrant_rollouts.core.errors import Limited
from qdrant_rollouts.core.ports import Row, SizeUnit, Source, SpreadSource
from qdrant_rollouts.core.statistics import extrapolation
from qdrant_rollouts.core.statistics.extrapolation import Place
from qdrant_rollouts.core.statistics.intervals import Interval

#: Where a large source is read, if reading can begin in its middle: at a place drawn in each of so
#: many equal parts.
_PLACES = 25
#: Characters that a sample has at most, but for its last record.
_CHARACTERS = 8_000_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a source is read for an estimate: so many records, or as many as it gives in so
    many seconds."""

    records: int
    seconds: float


#: For a person who waits, and for a deployment that only wants to compare.
OF_PLANS = Bounds(500, 5.0)
OF_DEPLOYMENTS = Bounds(200, 2.0)


@dataclass(slots=True)
class Stretch:
    """Rows that lie beside each other, and how much of the source's size they took. ``done`` is
    where they end."""

    done: float
    rows: list[Row] = field(default_factory=list)
    taken: float = 0
    _begun: float = 0.0

    def add_row(self, row: Row) -> None:
        """A chunk inside a document takes its ``share`` of the document alone."""
        whole = int(row.cursor["done"])
        self.rows.append(row)
        size = (whole - self.done) * row.cursor.get("share", 1.0)
        self.taken += size - self._begun
        self._begun = 0.0
        if "share" in row.cursor:
            self._begun = size
        else:
            self.done = whole


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows of a source, in parts that have one each at least. ``complete``: there are no
    others."""

    parts: Sequence[Stretch]
    size: int
    unit: SizeUnit
    complete: bool

    @property
    def rows(self) -> list[Row]:
        return [row for part in self.parts for row in part.rows]

    @property
    def spread(self) -> bool:
        """Whether it shows what the rest is like."""
        return self.complete or len(self.parts) > 1

    @property
    def counted(self) -> bool:
        """Whether the number of records is known, and not estimated."""
        return self.complete or (self.unit == "rows" and self.size > 0)

    @property
    def records(self) -> Interval | None:
        """How many records the source has; None if it cannot be counted."""
        if self.complete:
            return extrapolation.exactly(len(self.rows))
        if self.why_not_counted:
            return None
        if self.counted:
            return extrapolation.exactly(self.size)
        taken = [Place(len(part.rows), part.taken) for part in self.parts]
        return extrapolation.count_records(self.size, taken)

    @property
    def why_not_counted(self) -> str:
        """Empty if the number of records is known or can be estimated."""
        if self.counted:
            return ""
        if self.unit == "blocks":
            return "a compressed file does not say how many records it has"
        if not self.size:
            return "the source does not say how much it has, and it is not read to the end"
        if not sum(part.taken for part in self.parts):
            return "no record could be read in time"
        return ""


@dataclass(slots=True)
class _Reader:
    """Reads rows while there is time, and room for what they hold."""

    ends: float
    rows: int = 0
    characters: int = 0

    def read_rows(self, part: Stretch, rows: Iterator[Row], number: int, characters: int) -> bool:
        """Adds so many rows, or rows of so many characters, to the part. Returns whether there are
        no more."""
        number += self.rows
        characters = min(_CHARACTERS, self.characters + characters)
        try:
            while (
                self.rows < number and self.characters < characters and time.monotonic() < self.ends
            ):
                row = next(rows, None)
                if row is None:
                    return True
                if not row.gone:
                    part.add_row(row)
                    self.rows += 1
                    self.characters += _count_characters(row.fields)
        except Limited:
            if not self.rows:
                raise
            self.ends = -math.inf  # rows that have raised end as if there were no more
        return False


def _count_characters(value: Any) -> int:
    """Returns about how long a value of JSON is, however deep it is."""
    total = 0
    pile = [value]
    while pile:
        one = pile.pop()
        if isinstance(one, Mapping):
            pile += one.keys()
            pile += one.values()
        elif isinstance(one, list | tuple):
            pile += one
        else:
            total += len(one) if isinstance(one, str) else 1
    return total


def read_sample(source: Source, bounds: Bounds, draw: random.Random) -> Sample:
    """Reads a small source to its end. Of a larger one it reads rows at places that are drawn all
    over it, if that is possible, or else the first ones. Raises what the source raises, and Limited
    if its rate allows no reads now."""
    reader = _Reader(time.monotonic() + bounds.seconds)
    rows = source.read(None)
    first = Stretch(0)
    each = bounds.records // _PLACES
    if reader.read_rows(first, rows, each, _CHARACTERS // _PLACES):
        return _build_sample(source, [first], complete=True)
    in_time = time.monotonic() < reader.ends
    if in_time and _is_large(_build_sample(source, [first]), reader.characters, bounds):
        parts = _read_places(source, bounds, reader.ends, draw)
        if len(parts) > 1:
            return _build_sample(source, parts)
    ended = reader.read_rows(first, rows, bounds.records - len(first.rows), _CHARACTERS)
    return _build_sample(source, [first], complete=ended)


def read_first(source: Source, bounds: Bounds) -> Sample:
    """Reads the first rows alone, so that the next reading finds the same ones. Raises what the
    source raises."""
    first = Stretch(0)
    reader = _Reader(time.monotonic() + bounds.seconds)
    ended = reader.read_rows(first, source.read(None), bounds.records, _CHARACTERS)
    return _build_sample(source, [first], complete=ended)


def _build_sample(source: Source, parts: Sequence[Stretch], *, complete: bool = False) -> Sample:
    filled = [part for part in parts if part.rows]
    return Sample(filled, source.size(), source.size_unit, complete)


def _is_large(sample: Sample, characters: int, bounds: Bounds) -> bool:
    """Returns whether a source that begins in this way has more than may be read."""
    found = sample.records
    if found is None:
        return False
    most = min(bounds.records, _CHARACTERS * len(sample.rows) / max(1, characters))
    return found.value > most


def _read_places(
    source: Source, bounds: Bounds, ends: float, draw: random.Random
) -> Sequence[Stretch]:
    """Reads the places in a random order, so that those for which there is no time are any of
    them."""
    if not isinstance(source, SpreadSource):
        return ()
    places = list(source.list_places([(n + draw.random()) / _PLACES for n in range(_PLACES)]))
    draw.shuffle(places)
    reader = _Reader(ends)
    parts = []
    for place in places:
        part = Stretch(place["done"])
        each = bounds.records // _PLACES
        reader.read_rows(part, source.read(place), each, _CHARACTERS // _PLACES)
        parts.append(part)
    return [part for part in parts if part.rows]
