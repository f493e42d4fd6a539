"""Documents longer than a model reads become several records: a source whose rows are the chunks of
another source's rows.

All later code knows only records: it checks, counts, embeds, reuses and compares chunks like any
records. A chunk is the document with one field cut down to a piece, and with the field ``chunk``,
which names the document.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.collections.makers import Maker
from qdrant_rollouts.core.collections.record_rules import RecordRules
from qdrant_rollouts.core.collections.records import brought_names
from qdrant_rollouts.core.config.index_file import (
    ChunkSpec,
    EmbeddingSpec,
    fill_template,
    template_fields,
)
from qdrant_rollouts.core.ports import (
    Cursor,
    Embedder,
    Row,
    SizeUnit,
    Source,
    SpreadSource,
    WrappedSource,
)
from qdrant_rollouts.core.ports.naming import chunk_id

#: The field that describes a chunk: document, number (from 0), of, start and end (characters of the
#: field).
CHUNK_FIELD = "chunk"
#: Characters. Splitting takes about as long as embedding a tenth of the text, and a turn has 20 s.
_LONGEST = 1_000_000
_NO_RULES = RecordRules(dense={})


def chunk_source(
    source: Source, makers: Mapping[str, Maker], rules: RecordRules = _NO_RULES
) -> Source:
    """Returns the source's chunks if the index asks for them. Points of a collection stay as they
    are.

    Chunks fit the model that reads the fewest tokens.
    """
    cutting = [
        (maker.by.embedding, maker.embedder)
        for maker in makers.values()
        if maker.by.embedding is not None and maker.by.embedding.chunk is not None
    ]
    if not cutting or source.collection is not None:
        return source
    embedding, embedder = min(cutting, key=_reading_limit)
    assert embedder is not None
    assert embedding.chunk is not None
    return ChunkedSource(source, embedding, embedding.chunk, embedder, rules)


def _reading_limit(one: tuple[EmbeddingSpec, Embedder | None]) -> float:
    embedder = one[1]
    reads = None
    if embedder is not None:
        reads = embedder.reads
    if reads is None:
        return float("inf")
    return reads


class ChunkedSource(WrappedSource):
    """Cursor: ``source`` (the document source's own, None at its start), ``skip`` (chunks of the
    next document that were read), ``n`` (chunks so far), ``done`` as the source gives it after the
    document."""

    def __init__(
        self,
        source: Source,
        embedding: EmbeddingSpec,
        spec: ChunkSpec,
        embedder: Embedder,
        rules: RecordRules,
    ) -> None:
        super().__init__(source)
        self._spec = spec
        self._embedder = embedder
        self._template = embedding.text
        self._rules = rules
        self._field = spec.field or template_fields(embedding.text)[-1]

    @property
    def size_unit(self) -> SizeUnit:
        return "blocks" if self._source.size_unit == "blocks" else "shares"

    def read(self, cursor: Cursor | None) -> Iterator[Row]:
        before, skip, number = (
            (cursor["source"], cursor["skip"], cursor["n"]) if cursor else (None, 0, 0)
        )
        for row in self._source.read(before):
            chunks = self._cut_document(row)
            for at, (where, fields, problem) in enumerate(chunks[skip:], skip + 1):
                number += 1
                if at < len(chunks):
                    position = {"source": before, "skip": at}
                else:
                    position = {"source": row.cursor, "skip": 0}
                cursor = {**position, "n": number, "done": row.cursor["done"]}
                yield replace(row, where=where, fields=fields, cursor=cursor, problem=problem)
            before = row.cursor
            skip = 0

    def list_places(self, fractions: Sequence[float]) -> Sequence[Cursor]:
        if not isinstance(self._source, SpreadSource):
            return ()
        return [
            {"source": place, "skip": 0, "n": 0, "done": place["done"]}
            for place in self._source.list_places(fractions)
        ]

    def _cut_document(self, row: Row) -> list[tuple[str, dict[str, Any] | None, str]]:
        """Returns place, fields and problem of each chunk. A row that is not a valid document is
        passed on unchanged, so that the record's rules say why. So is a row that brings its vector,
        because nothing of it is embedded."""
        fields = row.fields
        given = brought_names(row, self._rules)
        if (
            fields is None
            or not self._is_document(fields)
            or (given and given >= self._rules.templates.keys())
        ):
            return [(row.where, fields, row.problem)]
        if given:
            told = ", ".join(name or "unnamed" for name in sorted(given))
            return [
                (
                    row.where,
                    None,
                    f"brings vectors ({told}) of the whole document, which cannot belong to a "
                    "chunk",
                )
            ]
        if CHUNK_FIELD in fields:
            return [
                (
                    row.where,
                    None,
                    f"has a field {CHUNK_FIELD!r} of its own; embedding.chunk needs that name",
                )
            ]
        text = fields[self._field]
        if len(text) > _LONGEST:
            problem = (
                f"{self._field} has {len(text):,} characters, at most {_LONGEST:,} can be chunked; "
                "split it before"
            )
            return [(row.where, None, problem)]
        pieces = self._embedder.pieces(
            text, self._text_beside(fields), self._spec.max_tokens, self._spec.overlap
        )
        return [
            (
                f"{row.where}, chunk {number + 1}",
                self._build_chunk(fields, number, len(pieces), *piece),
                "",
            )
            for number, piece in enumerate(pieces)
        ] or [(row.where, fields, row.problem)]

    def _is_document(self, fields: dict[str, Any]) -> bool:
        id = fields.get("id")
        known = isinstance(id, int | str) and not isinstance(id, bool) and id != ""
        return known and isinstance(fields.get(self._field), str)

    def _text_beside(self, fields: dict[str, Any]) -> str:
        """Returns the template's text around the piece; it is part of every chunk's text."""
        return fill_template(self._template, {**fields, self._field: ""})

    def _build_chunk(
        self, fields: dict[str, Any], number: int, of: int, start: int, piece: str
    ) -> dict[str, Any]:
        place = {
            "document": fields["id"],
            "number": number,
            "of": of,
            "start": start,
            "end": start + len(piece),
        }
        return {
            **fields,
            "id": chunk_id(fields["id"], number),
            self._field: piece,
            CHUNK_FIELD: place,
        }
