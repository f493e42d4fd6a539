"""``hashing:DIM``: word counts folded into DIM numbers. Lexical, without model or download, for
tests and demos.

Signed feature hashing after Weinberger et al., «Feature Hashing for Large Scale Multitask
Learning», ICML 2009 (arXiv:0902.2206): each word adds 1 + log(count) to one slot, with a sign that
keeps collisions from adding up.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from qdrant_rollouts.adapters.splitting import remaining_tokens, split_by_count
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import FloatArray

_WORD = re.compile(r"\w+")
#: Qdrant's own limit on the size of a vector.
_MOST_DIMENSIONS = 65536


class HashingEmbedder:
    """Rows have unit length, whatever the text."""

    def __init__(self, size: str, revision: str | None, dtype: str) -> None:
        if not re.fullmatch("[0-9]{1,5}", size) or not 8 <= int(size) <= _MOST_DIMENSIONS:
            raise Refused(
                f"embedding model hashing:{size} is not possible; expected hashing:N, N from 8 to "
                f"{_MOST_DIMENSIONS}"
            )
        if revision is not None or dtype != "float32":
            raise Refused(
                f"embedding model hashing:{size} has no revision and only dtype float32; remove "
                "these keys"
            )
        self.dimension = int(size)
        self.reads: int | None = None
        self.identity = f"hashing|signed words, 1 + log(count), unit length|{self.dimension}"

    def documents(self, texts: Sequence[str]) -> FloatArray:
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            self._fill_row(row, text)
        return rows

    def query(self, text: str) -> FloatArray:
        row: FloatArray = self.documents([text])[0]
        return row

    def count_truncated(self, texts: Sequence[str]) -> int:
        return 0

    def count_tokens(self, text: str) -> int | None:
        return _count_words(text)

    def pieces(
        self, text: str, beside: str, most: int | None, overlap: int
    ) -> list[tuple[int, str]]:
        """Words are its tokens, and it reads any number of them."""
        if most is None:
            if not text.strip():
                return []
            return [(0, text)]
        return split_by_count(
            _count_words, text, remaining_tokens(most, _count_words(beside)), overlap
        )

    def _fill_row(self, row: FloatArray, text: str) -> None:
        for word, count in Counter(_WORD.findall(text.casefold())).items():
            slot, sign = _hash_feature(word)
            row[slot % self.dimension] += sign * (1 + math.log(count))
        if not row.any():  # no words, or words that cancel out: the whole text is the feature
            row[_hash_feature(text)[0] % self.dimension] = 1
        row /= np.linalg.norm(row)


def _count_words(text: str) -> int:
    return len(_WORD.findall(text))


@lru_cache(maxsize=1 << 16)
def _hash_feature(word: str) -> tuple[int, float]:
    """Returns slot and sign, the same in every process; Python's own ``hash`` is not."""
    number = int.from_bytes(
        hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest()
    )
    return number >> 1, 1.0 if number & 1 else -1.0
