"""The model that turns texts into vectors."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from qdrant_rollouts.core.ports.shapes import FloatArray


class Embedder(Protocol):
    """A model, loaded at first use. ``identity`` changes whenever any vector could: provider,
    model, revision, dtype, prompts, truncation length. Two embedders of one identity give the same
    vectors for the same text."""

    @property
    def identity(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def documents(self, texts: Sequence[str]) -> FloatArray:
        """float32[len(texts), dimension], in the order of the texts; (0, dimension) for none."""

    def query(self, text: str) -> FloatArray:
        """float32[dimension]."""

    @property
    def reads(self) -> int | None:
        """How many tokens of a text the model reads; None if there is no limit or it is not
        known."""

    def count_truncated(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the model reads."""

    def count_tokens(self, text: str) -> int | None:
        """How many tokens of a document the model takes; None if it does not say. A model behind
        an endpoint says it when it embeds the text, so it does that."""

    def pieces(
        self, text: str, beside: str, most: int | None, overlap: int
    ) -> list[tuple[int, str]]:
        """The text in pieces, each with its offset in characters, always the same. A piece has at
        most ``most`` tokens together with ``beside`` (None: as many as the model reads) and shares
        up to ``overlap`` with the one before, at most half of it. Space around pieces is left out;
        text that is nothing else has none."""


@runtime_checkable
class FetchedEmbedder(Protocol):
    """What an embedder has besides ``Embedder`` if its first use may have to fetch the model."""

    def check_files(self) -> None:
        """Raises Refused if there is no such model, and Unavailable if that cannot be asked now.
        Loads and fetches nothing. A model of which this machine has a part is taken to be there."""
