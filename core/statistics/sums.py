"""Means and ratios from six sums over units (section 2 and 3), so that millions of rows can be
added up in the database."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from qdrant_rollouts.core.statistics.moments import Estimate, Moments, Unclear

#: A spread below this share of the squares is only rounding error.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Sums:
    """Over the units of one arm and stage, with S_i the unit's total and N_i its number of events:
    U, sum S_i, sum N_i, sum S_i^2, sum N_i^2, sum S_i N_i. A unit that was exposed and did nothing
    counts, as (0, 0)."""

    units: int = 0
    total: float = 0.0
    count: float = 0.0
    total_squares: float = 0.0
    count_squares: float = 0.0
    cross: float = 0.0

    @classmethod
    def of(cls, totals: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Self:
        """``totals`` and ``counts``: one entry per unit; without counts each unit is one event."""
        s = np.asarray(totals, dtype=np.float64)
        n = np.ones_like(s) if counts is None else np.asarray(counts, dtype=np.float64)
        return cls(len(s), float(s.sum()), float(n.sum()), float(s @ s), float(n @ n), float(s @ n))

    def __add__(self, other: "Sums") -> "Sums":
        """Only for disjoint sets of units: a unit in both must be added up before it is squared."""
        return Sums(
            self.units + other.units,
            self.total + other.total,
            self.count + other.count,
            self.total_squares + other.total_squares,
            self.count_squares + other.count_squares,
            self.cross + other.cross,
        )


def mean(sums: Sums, *, binary: bool = False) -> Estimate:
    """The mean of S_i; with ``binary`` (each S_i is 0 or 1) a proportion, see ``delta_ratio``."""
    found = mean_from_sums(sums.units, sums.total, sums.total_squares)
    if binary:
        return _smooth_certainty(found, sums.units, float(sums.total), sums.units)
    return found


def mean_from_sums(n: int, total: float, squares: float) -> Estimate:
    """The mean of ``n`` numbers that have this sum and sum of squares; its variance has ddof 1."""
    if n < 2:
        return Unclear("too_few_units" if n else "no_data")
    found = float(total) / n
    squares = float(squares)
    return _build_moments(
        n, found, (squares - n * found * found) / (n - 1) / n, squares / (n - 1) / n
    )


def delta_ratio(sums: Sums, *, binary: bool = False) -> Estimate:
    """Sum S_i / sum N_i, with the variance of the delta method (arXiv:1803.06336), because the
    events of one unit resemble each other.

    ``binary``: each event counts 0 or 1, such as an error. If none did, or all did, the units show
    no variance although the next event may differ: the variance is then that of one additional
    event of each kind (the idea of Agresti and Coull, as in ``moments.error_rate``), and the
    estimate stays. So two arms without errors can be shown to be equal; without ``binary``,
    identical numbers are ``variance_not_positive``.
    """
    n = float(sums.count)
    u = sums.units
    if u < 2 or n <= 0:
        return Unclear("too_few_units" if u == 1 else "no_data")
    m = float(sums.total) / n
    squares = float(sums.total_squares)
    product = float(sums.cross)
    counts = float(sums.count_squares)
    scale = u / ((u - 1) * n * n)
    found = _build_moments(
        u,
        m,
        scale * (squares - 2 * m * product + m * m * counts),
        scale * (squares + m * m * counts),
    )
    if binary:
        return _smooth_certainty(found, u, float(sums.total), n)
    return found


def effective_units(sums: Sums) -> float:
    """On how many units of equal weight a ratio depends (Kish 1965): if a few units make most of
    the events, they are few."""
    if not sums.count_squares:
        return 0.0
    return float(sums.count) ** 2 / float(sums.count_squares)


def _build_moments(units: int, estimate: float, variance: float, scale: float) -> Estimate:
    """``scale`` is the size of the variance before the subtraction, to distinguish a small variance
    from rounding."""
    if not math.isfinite(variance) or not math.isfinite(estimate) or variance <= _ROUNDING * scale:
        return Unclear("variance_not_positive")
    return Moments(units, estimate, variance)


def _smooth_certainty(found: Estimate, units: int, total: float, events: float) -> Estimate:
    if found != Unclear("variance_not_positive") or total not in (0, events):
        return found
    smoothed = (total + 1) / (events + 2)
    return Moments(units, total / events, smoothed * (1 - smoothed) / events)
