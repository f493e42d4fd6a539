"""Estimates and the variances of the estimates (section 3), with a group of users as the unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qdrant_rollouts.core.statistics import histogram
from qdrant_rollouts.core.statistics.groups import GROUPS
from qdrant_rollouts.core.statistics.traffic_sketch import Columns, LatencyGrid, TrafficSketch

#: Two-sided 95 %, for the order statistics that a quantile's density is read from.
_Z = 1.959964
#: A control estimate closer to 0 than this many standard errors has no relative difference.
_STEADY = 5.0

#: With fewer groups of equal weight the variance of their sums would be a guess
#: (docs/canary.md has the simulation).
EFFECTIVE = 30.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """``variance`` is that of the estimate; ``units`` are what was drawn: users, or in a sketch
    groups that searched."""

    units: int
    estimate: float
    variance: float


@dataclass(frozen=True, slots=True)
class Unclear:
    """Why there is no number: a code of ``core.statistics.reasons``."""

    reason: str


Estimate = Moments | Unclear


def error_rate(tally: TrafficSketch, least_units: int = 100) -> Estimate:
    """Errors per search, by the delta method over groups.

    If no search failed, or all did, the groups show no variance although the next search may
    differ. The variance is then that of one additional error and one additional success, the idea
    of Agresti and Coull; the estimate stays.
    """
    columns = tally.columns()
    calls, errors = _searched_groups(columns, columns.failed)
    short = _find_too_few(calls, least_units)
    if short:
        return short
    n = float(calls.sum())
    s = float(errors.sum())
    if 0 < s < n:
        return Moments(len(calls), s / n, _ratio_variance(errors, calls))
    smoothed = (s + 1) / (n + 2)
    return Moments(len(calls), s / n, smoothed * (1 - smoothed) / n)


def latency_quantile(
    tally: TrafficSketch | LatencyGrid, level: float, least_units: int = 100
) -> Estimate:
    """The latency that ``level`` of the searches do not exceed, in seconds.

    The density is computed from two order statistics next to it; the variance is increased because
    several searches belong to one group (arXiv:1803.06336, arXiv:2401.14549 algorithm 1).
    """
    columns = tally.columns()
    calls, _ = _searched_groups(columns, columns.failed)
    short = _find_too_few(calls, least_units)
    if short:
        return short
    n = float(calls.sum())
    if n <= _Z**2 * max(level / (1 - level), (1 - level) / level):
        return Unclear("quantile_unresolved")
    latencies = columns.latencies()
    found = histogram.quantile_of_counts(latencies, level)
    half = _Z * math.sqrt(level * (1 - level) / n)
    low, high = (histogram.quantile_of_counts(latencies, level + sign * half) for sign in (-1, 1))
    if high <= low:
        return Unclear("quantile_unresolved")
    independent = (n - 1) / n * ((high - low) / (2 * _Z)) ** 2
    return Moments(len(calls), found, independent * _clustering_factor(columns, found, level))


def difference(control: Estimate, treatment: Estimate) -> Estimate:
    """Treatment minus control."""
    if isinstance(control, Unclear) or isinstance(treatment, Unclear):
        if isinstance(control, Unclear):
            return control
        return treatment
    return Moments(
        control.units + treatment.units,
        treatment.estimate - control.estimate,
        control.variance + treatment.variance,
    )


def relative_difference(control: Estimate, treatment: Estimate) -> Estimate:
    """Treatment minus control, as a share of the control's value."""
    if isinstance(control, Unclear) or isinstance(treatment, Unclear):
        if isinstance(control, Unclear):
            return control
        return treatment
    a = control.estimate
    b = treatment.estimate
    if a <= 0:
        return Unclear("control_not_positive")
    if a < _STEADY * math.sqrt(control.variance):
        return Unclear("control_too_noisy")
    ratio = b / a
    variance = (treatment.variance + control.variance * ratio * ratio) / a / a
    return Moments(control.units + treatment.units, (b - a) / a, variance)


def stratified_effect(effects: Sequence[tuple[float, Estimate]]) -> Estimate:
    """The effects of the stages, weighted by the canary's searches in each (section 9); a stage
    without a number contributes nothing. Without any number, the reason of the last stage."""
    known = [
        (weight, effect) for weight, effect in effects if isinstance(effect, Moments) and weight > 0
    ]
    if not known:
        if effects and isinstance(effects[-1][1], Unclear):
            return effects[-1][1]
        return Unclear("no_data")
    return weighted_moments(*zip(*known, strict=True))


def weighted_moments(weights: Sequence[float], stages: Sequence[Moments]) -> Moments:
    """One arm over its stages; ``weights`` are scaled to sum to 1."""
    total = sum(weights)
    shares = [weight / total for weight in weights]
    return Moments(
        sum(stage.units for stage in stages),
        sum(share * stage.estimate for share, stage in zip(shares, stages, strict=True)),
        sum(share**2 * stage.variance for share, stage in zip(shares, stages, strict=True)),
    )


def _searched_groups(columns: Columns, sums: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Calls, and ``sums`` (by group), of the groups that made searches."""
    calls = columns.by_group()
    seen = calls > 0
    return calls[seen].astype(np.float64), sums[seen].astype(np.float64)


def _find_too_few(calls: Floats, least: int) -> Unclear | None:
    """A few groups that search much more than the rest count as few, however many groups there are
    (Kish's effective size)."""
    if not len(calls):
        return Unclear("no_data")
    effective = calls.sum() ** 2 / (calls**2).sum()
    if len(calls) < max(2, least) or effective < EFFECTIVE:
        return Unclear("too_few_units")
    return None


def _ratio_variance(sums: Floats, counts: Floats) -> float:
    units = len(counts)
    ratio = sums.sum() / counts.sum()
    return float(np.var(sums - ratio * counts, ddof=1) / (units * counts.mean() ** 2))


def _clustering_factor(columns: Columns, found: float, level: float) -> float:
    """The variance of the share below ``found``, by groups, divided by the binomial one. Never
    below 1: that would be chance."""
    at = histogram.bucket_index(found)
    low, high = histogram.bucket_bounds(at)
    inside = (found - low) / (high - low)
    share = np.where(columns.buckets < at, 1.0, np.where(columns.buckets == at, inside, 0.0))
    calls, below = _searched_groups(
        columns, np.bincount(columns.groups, weights=share * columns.calls, minlength=GROUPS)
    )
    return max(1.0, _ratio_variance(below, calls) / (level * (1 - level) / float(calls.sum())))
