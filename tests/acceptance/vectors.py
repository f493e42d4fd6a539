"""The real embedding model, called once for each text of a test run. Builders and gate share its
results."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from qdrant_rollouts.adapters.embeddings import open_embedder
from qdrant_rollouts.core.config.index_file import EmbeddingSpec
from qdrant_rollouts.core.ports import Embedder, FloatArray

TEMPLATE = "{title}\n{text}"
MINILM = EmbeddingSpec(model="sentence-transformers/all-MiniLM-L6-v2", text=TEMPLATE)
#: A lexical model with the same dimension as MiniLM.
HASHING = EmbeddingSpec(model="hashing:384", text=TEMPLATE)


class Remembering:
    """An embedder in front of another one: it has the same identity and returns the same vectors,
    but each is made only once."""

    def __init__(self, model: Embedder) -> None:
        self._model = model
        self._documents: dict[str, FloatArray] = {}
        self._queries: dict[str, FloatArray] = {}

    @property
    def identity(self) -> str:
        return self._model.identity

    @property
    def dimension(self) -> int:
        return self._model.dimension

    @property
    def reads(self) -> int | None:
        return self._model.reads

    def documents(self, texts: Sequence[str]) -> FloatArray:
        new = [text for text in dict.fromkeys(texts) if text not in self._documents]
        if new:
            self._documents |= dict(zip(new, self._model.documents(new), strict=True))
        return (
            np.stack([self._documents[text] for text in texts])
            if texts
            else self._model.documents(texts)
        )

    def query(self, text: str) -> FloatArray:
        if text not in self._queries:
            self._queries[text] = self._model.query(text)
        return self._queries[text]

    def count_truncated(self, texts: Sequence[str]) -> int:
        return self._model.count_truncated(texts)

    def count_tokens(self, text: str) -> int | None:
        return self._model.count_tokens(text)

    def pieces(
        self, text: str, beside: str, most: int | None, overlap: int
    ) -> list[tuple[int, str]]:
        return self._model.pieces(text, beside, most, overlap)


def embedder(spec: EmbeddingSpec) -> Embedder:
    """Returns ``Services.embedder`` for tests that embed real text: one embedder per model and
    run."""
    return _remembering(open_embedder(spec))


_remembering = cache(Remembering)
