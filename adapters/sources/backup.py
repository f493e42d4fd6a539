"""``backup:ID``: the points of a backup made by `rollouts backup`, by ascending id.

The deployment restores it into a separate collection, reads that, and drops it before the alias
moves. A backup does not change, so a rebuild from the same backup has nothing to do.
"""

from collections.abc import Iterator, Sequence

from qdrant_rollouts.core.collections import manifests, restorable
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Cursor, Row, Shelf, SizeUnit, VectorStore
from qdrant_rollouts.core.ports.naming import check_name


class BackupSource:
    """The backup on the shelf: what is known before it is restored
    (``core.collections.recovered``)."""

    left_out: Sequence[str] = ()
    size_unit: SizeUnit = "rows"

    def __init__(self, backup: str, store: VectorStore, shelf: Shelf | None) -> None:
        assert shelf is not None
        self.collection: str | None = None
        self._backup = check_name("backup", backup)
        self._store = store
        self._shelf = shelf

    @property
    def address(self) -> str:
        return f"backup:{self._backup}"

    def check(self) -> None:
        restorable.read_whole_manifest(self._store, self._shelf, self._backup)

    def fingerprint(self) -> str:
        return (
            f"{self.address} {manifests.hash_pieces([self._shelf.manifest(self._backup).encode()])}"
        )

    def size(self) -> int:
        return manifests.read_manifest(self._shelf, self._backup).high

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        raise Refused(f"{self.address} is read by a deployment alone, which recovers it first")
