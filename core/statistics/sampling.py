"""Samples that can be drawn again: among any number of ids, in any order, those with the smallest
seeded hash.

Each id has the same chance (a «bottom-k» sample, Cohen & Kaplan, PODC 2007,
doi:10.1145/1281100.1281133), and the same ids with the same seed give the same sample.
"""

import hashlib
from bisect import bisect_left
from typing import Any

from qdrant_rollouts.core.ports import PointId

#: (rank, id as JSON, the note for it), smallest rank first.
Sample = list[list[Any]]


def offer_id(sample: Sample, size: int, seed: int, id: PointId, note: Any = None) -> bool:
    """Takes ``id`` into the sample if its rank is among the ``size`` smallest so far; returns
    whether it did."""
    rank = _sample_rank(seed, id)
    if len(sample) == size and rank >= sample[-1][0]:
        return False
    at = bisect_left(sample, rank, key=lambda entry: entry[0])
    if at < len(sample) and sample[at][0] == rank:
        return False
    sample.insert(at, [rank, id, note])
    del sample[size:]
    return True


def _sample_rank(seed: int, id: PointId) -> str:
    """Hex, because not every JSON reader preserves integers of 64 bits."""
    return hashlib.blake2b(f"{seed}\0{type(id).__name__}\0{id}".encode(), digest_size=8).hexdigest()
