"""Documents that say their ids themselves: a source whose rows have them from a field that the
index names.

A document's id is its path otherwise, which no two of a folder share. Front matter's ``id`` does
not promise that: sites have the same one in many folders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.ports import Cursor, Row, Source

#: Where a source of documents keeps the ``id`` of front matter, which is no record's id by itself.
FRONT_MATTER_ID = "front_matter_id"


def with_declared_ids(source: Source, spec: IndexSpec) -> Source:
    return IdentifiedSource(source, spec.id_field) if spec.id_field is not None else source


class IdentifiedSource:
    """The same rows; a document that has the field has its id from there, others keep their paths."""

    def __init__(self, source: Source, field: str) -> None:
        self._source = source
        self._field = FRONT_MATTER_ID if field == "id" else field

    @property
    def address(self) -> str:
        return self._source.address

    @property
    def collection(self) -> str | None:
        return self._source.collection

    @property
    def left_out(self) -> Sequence[str]:
        return self._source.left_out

    def check(self) -> None:
        self._source.check()

    def fingerprint(self) -> str | None:
        return self._source.fingerprint()

    def size(self) -> int:
        return self._source.size()

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        return map(self._identify_row, self._source.read(cursor))

    def _identify_row(self, row: Row) -> Row:
        value = (row.fields or {}).get(self._field)
        if row.fields is None or value is None or value == "":
            return row
        fields = {**row.fields, "id": value}
        if self._field == FRONT_MATTER_ID:
            del fields[FRONT_MATTER_ID]
        return replace(row, fields=fields)
