"""``collection:NAME``: the points of a collection by ascending id.

A collection is live: what is written behind the cursor is not seen, and its fingerprint is no more than its name.
"""

from collections.abc import Iterator

from core.errors import Refused
from core.naming import check_name
from core.ports import Cursor, Point, PointId, Row, VectorStore
from core.readiness import about
from core.records import point_row

_PAGE = 256


class CollectionSource:
    """Rows are payloads as they are, whatever their fields are called; the point's id and vector
    stand beside them.

    Cursor: ``after`` (the point id), ``n`` and ``done`` (points so far).
    """

    def __init__(self, name: str, store: VectorStore) -> None:
        self.collection: str | None = check_name("collection", name)
        self._name, self._store = name, store

    @property
    def address(self) -> str:
        return f"collection:{self._name}"

    def check(self) -> None:
        collections, real = self._store.collections(), self._store.aliases().get(self._name)
        if self._name not in collections and real is not None:
            raise Refused(f"{self._name} is an alias; name the collection it points to: collection:{real}")
        if self._name not in collections:
            raise Refused(f"collection {self._name} does not exist; known: {', '.join(sorted(collections)) or 'none'}")
        if not self.size():
            raise Refused(f"collection {self._name} is empty")

    def fingerprint(self) -> str:
        return self.address

    def size(self) -> int:
        return about(self._store, self._name)

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        seen, after = (cursor["n"], cursor["after"]) if cursor else (0, None)
        for number, point in enumerate(self._points(after), seen + 1):
            at = {"after": point.id, "n": number, "done": number}
            yield point_row(point, f"collection {self._name}, point {point.id}", at)

    def _points(self, after: PointId | None) -> Iterator[Point]:
        start = after
        while True:
            self._store.pace(self._name)
            page, start = self._store.scroll(self._name, start, _PAGE)
            # A page starts **at** the id it is asked for.
            yield from (point for point in page if point.id != after)
            if start is None:
                return
