"""Long texts in pieces that end where paragraphs, sentences or words do, after semantic-text-splitter."""

from collections.abc import Callable
from functools import lru_cache

from semantic_text_splitter import TextSplitter
from tokenizers import Tokenizer

Piece = tuple[int, str]

#: Tokens. However long the text beside it, a piece has room for this many; then the whole is too long and counted.
_LEAST = 16
#: Room is rounded down to a multiple, so that few splitters serve all lengths of titles: making one takes 0.1 s.
_STEP = 8


def room(limit: int, taken: int) -> int:
    """Tokens that are left of ``limit`` for a piece."""
    return max(_LEAST, (limit - taken) // _STEP * _STEP)


def by_tokens(tokenizer: Tokenizer, text: str, capacity: int, overlap: int) -> list[Piece]:
    return _with_tokenizer(tokenizer, capacity, min(overlap, capacity // 2)).chunk_indices(text)


def by_count(count: Callable[[str], int], text: str, capacity: int, overlap: int) -> list[Piece]:
    return TextSplitter.from_callback(count, capacity, min(overlap, capacity // 2)).chunk_indices(text)


@lru_cache(maxsize=8)
def _with_tokenizer(tokenizer: Tokenizer, capacity: int, overlap: int) -> TextSplitter:
    return TextSplitter.from_huggingface_tokenizer(tokenizer, capacity, overlap)
