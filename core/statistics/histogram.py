"""Log-linear histograms of seconds: mergeable counts, exact to 1 %.

Every power of two is cut into 64 equal buckets, as HdrHistogram does it, so a bucket is at most
1/64 of its own lower end wide and its middle is off by at most 0.8 %.
"""

import math

import numpy as np
import numpy.typing as npt

_PARTS = 64
#: 2**-17 s = 7.6 microseconds and 2**7 s = 128 s; values outside count in the last bucket on that
#: side.
_LOWEST = -16
_HIGHEST = 7
Counts = npt.NDArray[np.int64]

BUCKETS = (_HIGHEST - _LOWEST + 1) * _PARTS


def bucket_index(seconds: float) -> int:
    """The bucket of a duration, 0 to ``BUCKETS`` - 1. On the path of every search."""
    mantissa, exponent = math.frexp(seconds)
    if exponent < _LOWEST or mantissa <= 0:
        return 0
    if exponent > _HIGHEST:
        return BUCKETS - 1
    return (exponent - _LOWEST) * _PARTS + int((mantissa * 2 - 1) * _PARTS)


def bucket_bounds(index: int) -> tuple[float, float]:
    """Where the bucket begins and ends, in seconds."""
    octave, part = divmod(index, _PARTS)
    base = math.ldexp(0.5, octave + _LOWEST)
    return base * (1 + part / _PARTS), base * (1 + (part + 1) / _PARTS)


def quantile_of_counts(counts: Counts, level: float) -> float:
    """The duration that ``level`` (0 to 1) of the observations do not exceed, in seconds; linear
    inside a bucket.

    ``counts`` is int64[BUCKETS]. Raises ValueError for no observation."""
    passed = np.cumsum(counts)
    if not passed[-1]:
        raise ValueError("a quantile of nothing")
    wanted = min(max(level, 0.0), 1.0) * float(passed[-1])
    index = int(np.searchsorted(passed, max(wanted, 1e-9)))
    low, high = bucket_bounds(index)
    return low + (high - low) * (wanted - float(passed[index] - counts[index])) / float(
        counts[index]
    )


def spread_of_counts(counts: Counts) -> float:
    """The standard deviation of the observations, in seconds; 0 for none. ``counts`` is
    int64[BUCKETS]."""
    used = np.flatnonzero(counts)
    if not len(used):
        return 0.0
    weights = counts[used].astype(np.float64)
    middles = np.array([sum(bucket_bounds(index)) / 2 for index in used.tolist()])
    mean = np.average(middles, weights=weights)
    return math.sqrt(np.average((middles - mean) ** 2, weights=weights))
