"""Sources of documents whose ids come from a field that the index names.

By default a document's id is its path, which is unique in a folder. The ``id`` in front matter is
not used by default, because sites often have the same one in many folders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.ports import Cursor, Row, Source, SpreadSource, WrappedSource

#: The key under which a source of documents keeps front matter's ``id``, which is not the record's
#: id by default.
FRONT_MATTER_ID = "front_matter_id"


def with_declared_ids(source: Source, spec: IndexSpec) -> Source:
    if spec.id_field is not None:
        return IdentifiedSource(source, spec.id_field)
    return source


class IdentifiedSource(WrappedSource):
    """The same rows; a document that has the field gets its id from it, the others keep their
    paths."""

    def __init__(self, source: Source, field: str) -> None:
        super().__init__(source)
        self._field = FRONT_MATTER_ID if field == "id" else field

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        return map(self._identify_row, self._source.read(cursor))

    def list_places(self, fractions: Sequence[float]) -> Sequence[Cursor]:
        return self._source.list_places(fractions) if isinstance(self._source, SpreadSource) else ()

    def _identify_row(self, row: Row) -> Row:
        value = (row.fields or {}).get(self._field)
        if row.fields is None or value is None or value == "":
            return row
        fields = {**row.fields, "id": value}
        if self._field == FRONT_MATTER_ID:
            del fields[FRONT_MATTER_ID]
        return replace(row, fields=fields)
