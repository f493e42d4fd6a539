"""``collection:NAME``: the points of a collection by ascending id.

A collection may change while it is read: points that are written behind the cursor are not seen,
and its fingerprint is only its name.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.collections.records import point_row
from qdrant_rollouts.core.collections.schema import vector_names
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Point, PointId, Row, VectorStore
from qdrant_rollouts.core.ports.naming import check_found_name

_PAGE_POINTS = 256


class CollectionSource:
    """Rows are unchanged payloads, whatever their fields are called; the point's id and vector are
    separate.

    Cursor: ``after`` (the point id), ``n`` and ``done`` (points so far).
    """

    left_out: Sequence[str] = ()

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

    def list_places(self, count: int) -> Sequence[Cursor]:
        """Random points; none if strict mode does not allow them, or the collection has no
        vector."""
        names = vector_names(self._store.schema(self._name))
        if not names:
            return ()
        self._store.pace(self._name)
        try:
            drawn = self._store.sample(self._name, names[0], count)
        except Refused:
            return ()
        return [{"after": point.id, "n": 0, "done": 0} for point in drawn]

    def _scroll_points(self, after: PointId | None) -> Iterator[Point]:
        start = after
        while True:
            self._store.pace(self._name)
            page, start = self._store.scroll(self._name, start, _PAGE_POINTS)
            # A page starts **at** the requested id.
            yield from (point for point in page if point.id != after)
            if start is None:
                return
