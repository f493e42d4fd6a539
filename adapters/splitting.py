"""Splits long texts at the ends of paragraphs, sentences or words, with semantic-text-splitter."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from semantic_text_splitter import TextSplitter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Piece = tuple[int, str]

#: Tokens. However long the text around it, a piece has room for this many; the whole is then too
#: long and counted.
_LEAST_TOKENS = 16
#: Room is rounded down to a multiple of this, so that few splitters serve all lengths of titles:
#: creating one takes 0.1 s.
_TOKEN_STEP = 8


def remaining_tokens(limit: int, taken: int) -> int:
    """Returns how many tokens of ``limit`` are left for a piece."""
    return max(_LEAST_TOKENS, (limit - taken) // _TOKEN_STEP * _TOKEN_STEP)


def split_by_tokens(tokenizer: "Tokenizer", text: str, capacity: int, overlap: int) -> list[Piece]:
    return _make_splitter(tokenizer, capacity, min(overlap, capacity // 2)).chunk_indices(text)


def split_by_count(
    count: Callable[[str], int], text: str, capacity: int, overlap: int
) -> list[Piece]:
    return TextSplitter.from_callback(count, capacity, min(overlap, capacity // 2)).chunk_indices(
        text
    )


@lru_cache(maxsize=8)
def _make_splitter(tokenizer: "Tokenizer", capacity: int, overlap: int) -> TextSplitter:
    return TextSplitter.from_huggingface_tokenizer(tokenizer, capacity, overlap)
