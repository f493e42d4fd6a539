"""How many searches there were in a minute or an hour, how many failed, and how long they took."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qdrant_rollouts.core.statistics import histogram

#: What is stored of a bucket in which there is a search.
_CELL = np.dtype([("bucket", "<u2"), ("searches", "<u4")])


class SearchCounts:
    """Sums over all users; failed searches are counted at their latency too."""

    __slots__ = ("errors", "latencies")

    def __init__(self) -> None:
        self.errors = 0
        #: Searches by bucket, int64[BUCKETS].
        self.latencies: histogram.Counts = np.zeros(histogram.BUCKETS, dtype=np.int64)

    @property
    def searches(self) -> int:
        return int(self.latencies.sum())

    def add_sketch(self, content: Mapping[str, Any]) -> None:
        """Adds a sketch as ``TrafficSketch.to_json`` wrote it."""
        _, buckets, calls = np.array(content.get("cells", ((), (), ())), dtype=np.int64)
        np.add.at(self.latencies, buckets, calls)
        self.errors += sum(content.get("failed", ((), ()))[1])

    def add_packed(self, errors: int, packed: bytes) -> None:
        """Adds counts whose latencies ``pack_latencies`` wrote; those of several may be joined."""
        cells = np.frombuffer(packed, dtype=_CELL)
        # float64 holds every count below 2**53 exactly
        summed = np.bincount(cells["bucket"], cells["searches"], histogram.BUCKETS)
        self.latencies += summed.astype(np.int64)
        self.errors += errors

    def pack_latencies(self) -> bytes:
        """Returns the buckets that are not empty: each as its number and its searches, six bytes
        together."""
        buckets = np.flatnonzero(self.latencies)
        cells = np.empty(len(buckets), dtype=_CELL)
        cells["bucket"] = buckets
        cells["searches"] = self.latencies[buckets]
        return cells.tobytes()

    def quantile(self, level: float) -> float | None:
        """Seconds; None without searches."""
        if not self.latencies.any():
            return None
        return histogram.quantile_of_counts(self.latencies, level)
