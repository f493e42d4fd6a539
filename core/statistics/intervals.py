"""Intervals of 90 %, and on which side of a bound they lie."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qdrant_rollouts.core.late import Library

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import scipy

    _Values = npt.NDArray[np.float64]
else:
    np = Library("numpy")
    scipy = Library("scipy")

#: Two-sided 90 %: each side is a one-sided test at 5 %.
Z = 1.645
#: Enough that the ends of a 90 % interval move by less than the third digit from seed to seed.
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its interval; an infinite end means that nothing is known on that
    side."""

    value: float
    low: float
    high: float


def mean_interval(values: Sequence[float], z: float = Z) -> Interval:
    """Normal interval of the mean, -+ z * sd / sqrt(n). Raises ValueError for no value; a single
    value says nothing about its spread."""
    found = _as_array(values)
    if len(found) == 1:
        return Interval(float(found[0]), -math.inf, math.inf)
    if _are_all_equal(found):
        return _point_interval(found)
    value = float(found.mean())
    half = z * float(found.std(ddof=1)) / math.sqrt(len(found))
    return Interval(value, value - half, value + half)


def exact_mean(values: Sequence[float]) -> Interval:
    """The mean of all existing values: not an estimate, so it has no spread. Raises ValueError for
    no value."""
    value = math.fsum(_as_array(values)) / len(values)
    return Interval(value, value, value)


def paired_interval(differences: Sequence[float], seed: int) -> Interval:
    """BCa bootstrap of the mean difference (Efron 1987). If all values are equal, as after a
    rebuild without a change, there is nothing to resample and BCa would give NaN; a single value
    says nothing about its spread. Raises ValueError for no value."""
    found = _as_array(differences)
    if len(found) == 1:
        return Interval(float(found[0]), -math.inf, math.inf)
    if _are_all_equal(found):
        return _point_interval(found)
    value = float(found.mean())
    if not math.isfinite(value):
        return Interval(value, -math.inf, math.inf)
    for method in ("BCa", "percentile"):
        low, high = _bootstrap_ends(found, method, seed)
        if math.isfinite(low) and math.isfinite(high):
            return Interval(value, low, high)
    return Interval(value, -math.inf, math.inf)


def share_interval(hits: float, n: float, z: float = Z) -> Interval:
    """Wilson's score interval (1927) of ``hits`` among ``n``. Raises ValueError unless 0 <= hits <=
    n and n > 0."""
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"{hits} of {n} is no share: hits lie between 0 and n, and n above 0")
    value = hits / n
    middle = value + z * z / (2 * n)
    spread = z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    low, high = ((middle + way * spread) / (1 + z * z / n) for way in (-1, 1))
    # None and all are ends of the interval themselves; rounding would put them slightly on the
    # wrong side of a bound.
    return Interval(value, low if hits else 0.0, high if hits < n else 1.0)


def ratio_of_percentiles(
    new: Sequence[float],
    old: Sequence[float],
    percent: float,
    seed: int,
    resamples: int = _RESAMPLES,
) -> Interval:
    """Percentile of ``new`` to that of ``old``, bootstrapped over the pairs: one query, both sides.
    Raises ValueError for none, for lists that are no pairs, and where old's percentile is 0."""
    ours = _as_array(new)
    theirs = _as_array(old)
    if len(ours) != len(theirs):
        raise ValueError(
            f"{len(ours)} new values and {len(theirs)} old ones are no pairs: measure each query "
            "on both"
        )
    base = float(np.percentile(theirs, percent))
    if base == 0:
        raise ValueError("the percentile to compare with is 0")
    drawn = np.random.default_rng(seed).integers(0, len(ours), size=(resamples, len(ours)))
    # A draw whose old side is 0 has no ratio: its infinity or NaN reaches the ends, and the bound
    # stays undecided.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.percentile(ours[drawn], percent, axis=1) / np.percentile(
            theirs[drawn], percent, axis=1
        )
        low, high = np.percentile(ratios, (5, 95))
    return Interval(float(np.percentile(ours, percent)) / base, float(low), float(high))


def judge_side(
    found: Interval, bound: float, *, at_least: bool = True
) -> Literal["pass", "block", "inconclusive"]:
    """Pass if the whole interval meets the bound, block if no part of it does; NaN gives
    neither."""
    low, high = (found.low, found.high) if at_least else (-found.high, -found.low)
    if not at_least:
        bound = -bound
    if not all(map(math.isfinite, (found.value, low, high))):
        return "inconclusive"
    if low >= bound:
        return "pass"
    if high < bound:
        return "block"
    return "inconclusive"


def _as_array(values: Sequence[float]) -> _Values:
    if not len(values):
        raise ValueError("no values: an interval needs one at least")
    return np.asarray(values, dtype=np.float64)


def _are_all_equal(found: _Values) -> bool:
    return bool((found == found[0]).all())


def _point_interval(found: _Values) -> Interval:
    """The interval without a mean: the mean of equal numbers may miss them by a rounding error, and
    so the bound that they meet."""
    return Interval(float(found[0]), float(found[0]), float(found[0]))


def _bootstrap_ends(found: _Values, method: str, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    # If BCa cannot compute an interval it also gives NaN, and the caller checks that.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        made = scipy.stats.bootstrap(
            (found,), np.mean, confidence_level=0.9, method=method, n_resamples=_RESAMPLES, rng=rng
        ).confidence_interval
    return float(made.low), float(made.high)
