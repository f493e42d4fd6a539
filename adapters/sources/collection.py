"""``collection:NAME``: the points of a collection by ascending id.

A collection may change while it is read: points that are written behind the cursor are not seen,
and its fingerprint is only its name.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.records import point_row
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Point, PointId, Row, SizeUnit, VectorStore
from qdrant_rollouts.core.ports.naming import check_found_name

_PAGE_POINTS = 256
#: The more ids are drawn for a part, the more equal are the parts: with so many they differ by
#: about a seventh.
_DRAWN_PER_PART = 50


class CollectionSource:
    """Rows are unchanged payloads, whatever their fields are called; the point's id and vector are
    separate.

    Cursor: ``after`` (the point id), ``n`` and ``done`` (points so far).
    """

    left_out: Sequence[str] = ()
    size_unit: SizeUnit = "rows"
    least_part = 1000

    def __init__(self, name: str, store: VectorStore) -> None:
        check_found_name("collection", name.strip() or name)
        self._written = name
        self._store = store

    @cached_property
    def _name(self) -> str:
        """Blanks around a name belong to it if there is such a collection; otherwise they are
        ignored."""
        bare = self._written.strip()
        if self._written == bare or self._written in self._store.collections():
            return self._written
        return bare

    @property
    def collection(self) -> str | None:
        return self._name

    @property
    def address(self) -> str:
        return f"collection:{self._name}"

    def check(self) -> None:
        collections = self._store.collections()
        real = self._store.aliases().get(self._name)
        if self._name not in collections and real is not None:
            raise Refused(
                f"{self._name} is an alias; name the collection it points to: collection:{real}"
            )
        if self._name not in collections:
            raise Refused(
                f"collection {self._name} does not exist; known: "
                f"{', '.join(sorted(collections)) or 'none'}"
            )
        if not self.size():
            raise Refused(f"collection {self._name} is empty")

    def fingerprint(self) -> str:
        return self.address

    def size(self) -> int:
        return estimate_points(self._store, self._name)

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        seen, after = (cursor["n"], cursor["after"]) if cursor else (0, None)
        for number, point in enumerate(self._scroll_points(after), seen + 1):
            at = {"after": point.id, "n": number, "done": number}
            yield point_row(point, f"collection {self._name}, point {point.id}", at)

    def split(self, parts: int) -> Sequence[Cursor]:
        return self.list_places([part / parts for part in range(1, parts)])

    def list_places(self, fractions: Sequence[float]) -> Sequence[Cursor]:
        """Returns the quantiles of ids that are drawn at random. The embedded Qdrant has one
        reader, and a collection that allows no draw is read in one part."""
        if self._store.server().embedded:
            return []
        try:
            drawn = self._draw_ids(len(fractions) + 1)
        except Refused:
            return []
        cuts = {drawn[int(len(drawn) * one)] for one in fractions} if drawn else set()
        return [{"after": id, "n": 0, "done": 0} for id in sorted(cuts, key=_find_order)]

    def find_place(self, cursor: Cursor) -> tuple[bool, PointId]:
        return _find_order(cursor["after"])

    def _draw_ids(self, parts: int) -> list[PointId]:
        drawn: set[PointId] = set()
        for _ in range(-(-parts * _DRAWN_PER_PART // _PAGE_POINTS)):
            drawn.update(self._store.draw_ids(self._name, _PAGE_POINTS))
        return sorted(drawn, key=_find_order)

    def _scroll_points(self, after: PointId | None) -> Iterator[Point]:
        start = after
        while True:
            self._store.pace(self._name)
            page, start = self._store.scroll(self._name, start, _PAGE_POINTS)
            # A page starts **at** the requested id.
            yield from (point for point in page if point.id != after)
            if start is None:
                return


def _find_order(id: PointId) -> tuple[bool, PointId]:
    """Returns the key by which a server sorts ids: numbers before UUIDs."""
    return isinstance(id, str), id
