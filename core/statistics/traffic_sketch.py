"""What searches experienced, as sums that can be added over processes, flushes and time.

Rule: the unit of every statistic is a **group of users**. Users are hashed into ``GROUPS`` groups,
so a sketch has the same size whatever the traffic, and a group is a cluster like a single user: the
formulas of experiments section 3 apply with group for unit.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from qdrant_rollouts.core.statistics import histogram
from qdrant_rollouts.core.statistics.groups import GROUPS

_SUMS = (
    "seconds",
    "embedding",
    "embedded",
    "fallbacks",
    "anonymous",
    "pairs",
    "overlap",
    "overlap_squares",
    "log_ratio",
    "log_ratio_squares",
)
_COUNTS = ("cells", "failed", "nothing")
_NO_CELLS: tuple[Any, ...] = ((), (), ())
_NO_COUNTS: tuple[Any, ...] = ((), ())


class TrafficSketch:
    """Not locked: code that shares one must guard it."""

    __slots__ = ("cells", "failed", "nothing", "others", *_SUMS)

    def __init__(self) -> None:
        #: (group, bucket of the latency) -> calls, including failed ones.
        self.cells: Counter[tuple[int, int]] = Counter()
        #: group -> calls that failed, and calls that found nothing.
        self.failed: Counter[int] = Counter()
        self.nothing: Counter[int] = Counter()
        self.seconds = 0.0
        #: Seconds in which texts were embedded, which are no latency, and the searches with a text.
        self.embedding = 0.0
        self.embedded = 0
        self.fallbacks = self.anonymous = 0
        #: Shadow: searches compared, sums of the overlap of both answers and of ln(green's latency
        #: / blue's).
        self.pairs = 0
        self.overlap = self.overlap_squares = self.log_ratio = self.log_ratio_squares = 0.0
        #: Sums of another release, by name: code that folds its rows must not lose them.
        self.others: Counter[str] = Counter()

    def add(
        self,
        group: int,
        seconds: float,
        *,
        error: bool = False,
        results: int = 1,
        fallback: bool = False,
        anonymous: bool = False,
        embedding: float = 0.0,
    ) -> None:
        """Adds one search by a user of ``group`` that took ``seconds`` after its text was embedded
        in ``embedding`` seconds; a failed search is counted at its latency too."""
        self.cells[group, histogram.bucket_index(seconds)] += 1
        self.seconds += seconds
        if error:
            self.failed[group] += 1
            self.fallbacks += fallback
        elif not results:
            self.nothing[group] += 1
        self.anonymous += anonymous
        self.embedding += embedding
        self.embedded += embedding > 0

    def add_pair(self, overlap: float, log_ratio: float) -> None:
        self.pairs += 1
        self.overlap += overlap
        self.overlap_squares += overlap * overlap
        self.log_ratio += log_ratio
        self.log_ratio_squares += log_ratio * log_ratio

    def merge(self, other: "TrafficSketch") -> None:
        self.cells.update(other.cells)
        self.failed.update(other.failed)
        self.nothing.update(other.nothing)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.others.update(other.others)

    def condense(self) -> "TrafficSketch":
        """The same figures with all users in one group."""
        found = TrafficSketch()
        found.merge(self)
        by_bucket = enumerate(self.columns().latencies().tolist())
        found.cells = Counter({(0, bucket): calls for bucket, calls in by_bucket if calls})
        found.failed = Counter({0: self.errors})
        found.nothing = Counter({0: self.zeros})
        return found

    @property
    def calls(self) -> int:
        return self.cells.total()

    @property
    def errors(self) -> int:
        return self.failed.total()

    @property
    def zeros(self) -> int:
        return self.nothing.total()

    @property
    def units(self) -> int:
        """Groups that made searches."""
        return len({group for group, _ in self.cells})

    @property
    def error_rate(self) -> float | None:
        if not self.calls:
            return None
        return self.errors / self.calls

    @property
    def zero_rate(self) -> float | None:
        """The share without results of the searches that did not fail; None if all failed."""
        answered = self.calls - self.errors
        if not answered:
            return None
        return self.zeros / answered

    @property
    def mean(self) -> float | None:
        """Seconds."""
        if not self.calls:
            return None
        return self.seconds / self.calls

    @property
    def mean_embedding(self) -> float | None:
        """Seconds, over the searches with a text that was embedded."""
        if not self.embedded:
            return None
        return self.embedding / self.embedded

    def columns(self) -> "Columns":
        found = np.array(list(self.cells), dtype=np.int64).reshape(-1, 2)
        calls = np.fromiter(self.cells.values(), np.int64, len(self.cells))
        failed = np.zeros(GROUPS, dtype=np.int64)
        for group, errors in self.failed.items():
            failed[group] = errors
        return Columns(found[:, 0], found[:, 1], calls, failed)

    def quantile(self, level: float) -> float | None:
        """Seconds; None without calls."""
        if not self.cells:
            return None
        return histogram.quantile_of_counts(self.columns().latencies(), level)

    def to_json(self) -> dict[str, Any]:
        groups, buckets = zip(*self.cells, strict=True) if self.cells else ((), ())
        return {
            "cells": [list(groups), list(buckets), list(self.cells.values())],
            "failed": [list(self.failed), list(self.failed.values())],
            "nothing": [list(self.nothing), list(self.nothing.values())],
            **self.others,
            **{name: getattr(self, name) for name in _SUMS},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Reads a row that another release may have written: what it lacks is zero, and its
        additional sums are kept and added."""
        tally = cls()
        groups, buckets, calls = content.get("cells", _NO_CELLS)
        tally.cells = Counter(dict(zip(zip(groups, buckets, strict=True), calls, strict=True)))
        tally.failed = Counter(dict(zip(*content.get("failed", _NO_COUNTS), strict=True)))
        tally.nothing = Counter(dict(zip(*content.get("nothing", _NO_COUNTS), strict=True)))
        for name in _SUMS:
            setattr(tally, name, content.get(name, 0))
        unknown = content.keys() - {*_SUMS, *_COUNTS}
        tally.others = Counter(
            {name: content[name] for name in unknown if isinstance(content[name], int | float)}
        )
        return tally


@dataclass(frozen=True, slots=True)
class Columns:
    """A sketch's cells as columns of equal length, for the estimators; ``failed`` is
    int64[GROUPS]."""

    groups: histogram.Counts
    buckets: histogram.Counts
    calls: histogram.Counts
    failed: histogram.Counts

    def latencies(self) -> histogram.Counts:
        """Calls by bucket, int64[BUCKETS]."""
        return _sum_by_place(self.buckets, self.calls, histogram.BUCKETS)

    def spread(self) -> float:
        """The standard deviation of the latency of a search, in seconds; 0 without calls."""
        return histogram.spread_of_counts(self.latencies())

    def by_group(self) -> histogram.Counts:
        """Calls by group, int64[GROUPS]."""
        return _sum_by_place(self.groups, self.calls, GROUPS)


class LatencyGrid:
    """The latencies of any number of sketches, added up in constant size."""

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells = np.zeros(GROUPS * histogram.BUCKETS, dtype=np.int64)

    def add(self, content: Mapping[str, Any]) -> None:
        """Adds a sketch as ``TrafficSketch.to_json`` wrote it."""
        groups, buckets, calls = np.array(content.get("cells", _NO_CELLS), dtype=np.int64)
        np.add.at(self._cells, groups * histogram.BUCKETS + buckets, calls)

    def merge(self, other: "LatencyGrid") -> None:
        self._cells += other._cells

    @property
    def calls(self) -> int:
        return int(self._cells.sum())

    def columns(self) -> "Columns":
        """For a sketch in which nothing failed: failures of users are sums, not sketches."""
        places = np.flatnonzero(self._cells)
        groups, buckets = np.divmod(places, histogram.BUCKETS)
        return Columns(groups, buckets, self._cells[places], np.zeros(GROUPS, dtype=np.int64))


def _sum_by_place(
    places: histogram.Counts, counts: histogram.Counts, size: int
) -> histogram.Counts:
    # float64 holds every count below 2**53 exactly
    return np.bincount(places, weights=counts, minlength=size).astype(np.int64)
