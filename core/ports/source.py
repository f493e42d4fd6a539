"""The source of records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from qdrant_rollouts.core.ports.shapes import PointId, Vector

Cursor = dict[str, Any]
#: What ``size`` and ``Cursor["done"]`` are made up of: of ``rows``, which are one each; of the
#: ``shares`` that rows have (their bytes); of ``blocks`` with many rows each, which say how far
#: reading is and nothing of the number of rows.
SizeUnit = Literal["rows", "shares", "blocks"]


@dataclass(frozen=True, slots=True)
class Row:
    """One record as the source has it, before anything was checked.

    ``where`` names it for people (``docs/a.jsonl:17``). ``fields`` is None when the row could not
    be read at all; ``problem`` then says why. It is empty if the source itself says that the record
    is gone. ``cursor`` resumes reading **after** this row.

    ``point_id`` is given where rows are points already: they keep it, and their ``vector``,
    whatever their payload calls ``id`` or ``vector``; ``lent_id`` says that the payload has no
    ``id``, and that in ``fields`` is the point's. ``written`` says that a source knows text only,
    so that a vector may be JSON in it.
    """

    where: str
    fields: dict[str, Any] | None
    cursor: Cursor
    problem: str = ""
    point_id: PointId | None = None
    vector: Vector | None = None
    lent_id: bool = False
    written: bool = False

    @property
    def gone(self) -> bool:
        """Whether the row is neither a record nor a fault."""
        return self.fields is None and not self.problem


class Source(Protocol):
    """A place records come from, read in a stable order so that a cursor means the same row every
    time."""

    @property
    def address(self) -> str:
        """The source as text that means the same from any working directory; what a deployment
        stores."""

    @property
    def collection(self) -> str | None:
        """The collection this source copies, or None if it is not one."""

    @property
    def left_out(self) -> Sequence[str]:
        """Files of this program that a pattern or folder of the source holds, and that are never
        read; for people."""

    @property
    def size_unit(self) -> SizeUnit:
        """What the size is made up of."""

    def check(self) -> None:
        """Raises Refused if the source is missing, empty, unreadable or not allowed, naming what
        and which."""

    def fingerprint(self) -> str | None:
        """Changes when the data changed; a resumed read that meets another fingerprint must not go
        on. None if the source cannot tell: then it may have changed at any time."""

    def size(self) -> int:
        """How much there is, in the unit of ``Cursor["done"]`` (bytes for files, points for
        collections); 0 if that is not known beforehand."""

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        """Rows after ``cursor``, or from the start. Every cursor has ``done``; the other keys are
        the source's own."""


@runtime_checkable
class SplitSource(Protocol):
    """What a source has besides ``Source`` if it can be read in parts at the same time."""

    @property
    def least_part(self) -> int:
        """The smallest part that is worth a worker of its own, in the unit of ``size``."""

    def split(self, parts: int) -> Sequence[Cursor]:
        """Returns where the second part and each later one begin: at most ``parts`` - 1 cursors, in
        the order of reading, as ``read`` takes them. Fewer if the source cannot be cut so often,
        none if it cannot be cut at all. A part's rows are those whose place is beyond the cursor at
        which it begins, and not beyond the one at which the next part begins."""

    def find_place(self, cursor: Cursor) -> Any:
        """Returns the place of a row by its cursor. Places grow in the order of reading."""


@runtime_checkable
class SpreadSource(Protocol):
    """What a source has besides ``Source`` if reading can begin in its middle. Only samples are
    read in this way: the rows are the source's, but their numbers count from that place."""

    def list_places(self, fractions: Sequence[float]) -> Sequence[Cursor]:
        """Returns cursors to read after, near these fractions of the source (from 0, its beginning,
        to 1, its end), in its order. Fewer if some are the same place, none if the source is known
        only from its beginning."""


@runtime_checkable
class ChangesSource(Protocol):
    """What a source has besides ``Source`` if it can read only what has changed. ``where`` is the
    condition that people declare for it."""

    def check_changes(self, where: str) -> None:
        """Raises Refused if the condition cannot find every row that changes."""

    def mark_changes(self, margin: float) -> str:
        """Returns the source's own time now, ``margin`` seconds earlier. Only the source reads
        it."""

    def read_changes(self, where: str, since: str, cursor: Cursor | None) -> Iterator[Row]:
        """Rows that changed after the mark ``since``, as ``Source.read`` reads all of them."""

    def read_ids(self, cursor: Cursor | None) -> Iterator[Row]:
        """All rows, each with its ``id`` alone."""
