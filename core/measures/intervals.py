"""Intervals of 90 %, and on which side of a bound they lie."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

#: Two-sided 90 %: each side is a one-sided test at 5 %.
Z = 1.645
#: Enough that the ends of a 90 % interval move by less than the third digit from seed to seed.
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    value: float
    low: float
    high: float


def mean(values: Sequence[float], z: float = Z) -> Interval:
    """Raises ValueError for none; a single one says nothing of its spread."""
    if not len(values):
        raise ValueError("no values: a mean needs one")
    found = np.asarray(values, dtype=np.float64)
    value = float(found.mean())
    if len(found) == 1:
        return Interval(value, -math.inf, math.inf)
    half = z * float(found.std(ddof=1)) / math.sqrt(len(found))
    return Interval(value, value - half, value + half)


def paired(differences: Sequence[float], seed: int) -> Interval:
    """BCa bootstrap of the mean difference (Efron 1987). All equal, as after a rebuild without a change, there is
    nothing to resample and BCa would give NaN."""
    found = np.asarray(differences, dtype=np.float64)
    value = float(found.mean())
    if (found == found[0]).all():
        return Interval(value, value, value)
    for method in ("BCa", "percentile"):
        low, high = _bootstrap(found, method, seed)
        if math.isfinite(low) and math.isfinite(high):
            return Interval(value, low, high)
    return Interval(value, -math.inf, math.inf)


def share(hits: int, n: int, z: float = Z) -> Interval:
    """Wilson's score interval (1927) of a share of ``n``."""
    value = hits / n
    middle, spread = value + z * z / (2 * n), z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    return Interval(value, (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n))


def ratio_of_percentiles(new: Sequence[float], old: Sequence[float], percent: float, seed: int) -> Interval:
    """Percentile of ``new`` to that of ``old``, bootstrapped over the pairs. Raises ValueError where old's is 0."""
    ours, theirs = np.asarray(new, dtype=np.float64), np.asarray(old, dtype=np.float64)
    base = float(np.percentile(theirs, percent))
    if base == 0:
        raise ValueError("the percentile to compare with is 0")
    drawn = np.random.default_rng(seed).integers(0, len(ours), size=(_RESAMPLES, len(ours)))
    ratios = np.percentile(ours[drawn], percent, axis=1) / np.percentile(theirs[drawn], percent, axis=1)
    low, high = np.percentile(ratios, (5, 95))
    return Interval(float(np.percentile(ours, percent)) / base, float(low), float(high))


def side(found: Interval, bound: float, *, at_least: bool = True) -> Literal["pass", "block", "inconclusive"]:
    """Pass if the whole interval meets the bound, block if none of it does; what is no number is neither."""
    low, high = (found.low, found.high) if at_least else (-found.high, -found.low)
    bound = bound if at_least else -bound
    if math.isnan(found.value) or not (math.isfinite(low) and math.isfinite(high)):
        return "inconclusive"
    if low >= bound:
        return "pass"
    return "block" if high < bound else "inconclusive"


def _bootstrap(found: "np.ndarray[tuple[int], np.dtype[np.float64]]", method: str, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    made = stats.bootstrap(
        (found,), np.mean, confidence_level=0.9, method=method, n_resamples=_RESAMPLES, rng=rng
    ).confidence_interval
    return float(made.low), float(made.high)
