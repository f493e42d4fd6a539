"""Which embedding model a name means. ``EMBEDDERS`` lists who serves it: the part before the colon, or the first."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock

from adapters.embedding_hashing import Hashing
from adapters.embedding_transformers import SentenceTransformers
from core.errors import Refused
from core.index_file import EmbeddingSpec
from core.ports import Embedder

EMBEDDERS: dict[str, Callable[[str, str | None, str], Embedder]] = {
    "sentence-transformers": SentenceTransformers,
    "hashing": Hashing,
}

_opening = Lock()


def open_embedder(spec: EmbeddingSpec) -> Embedder:
    """The embedder of ``spec``, one per model and process whatever the template; a model is loaded at its first use.

    Raises Refused for a name that no embedder serves; using it raises Refused or Unavailable when there is no model.
    """
    with _opening:  # two threads that open at once must not load a model twice
        return _open(spec.model, spec.revision, spec.dtype)


@cache
def _open(model: str, revision: str | None, dtype: str) -> Embedder:
    kind, colon, rest = model.partition(":")
    if not colon or Path(model).exists():
        return SentenceTransformers(model, revision, dtype)
    if kind not in EMBEDDERS or not rest:
        known = ", ".join(f"{name}:…" for name in EMBEDDERS)
        raise Refused(
            f"embedding model {model!r} is not known; expected {known}, or a plain sentence-transformers name"
        )
    return EMBEDDERS[kind](rest, revision, dtype)
