"""Quantiles of events that belong to users (section 3): exact order statistics, and a variance that
accounts for the events of one user. ``moments.latency_quantile`` is the same from a sketch, whose
latencies are exact to 1 %."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics import moments
from qdrant_rollouts.core.statistics.moments import Estimate, Floats, Moments, Unclear
from qdrant_rollouts.core.statistics.sums import Sums, delta_ratio

#: Two-sided 95 %, for the order statistics that the density is read from.
_Z = 1.959964
_LEAST_UNITS = 100

#: Values float[n], and the user of each: any array of n that numpy can sort.
Events = tuple[npt.ArrayLike, npt.ArrayLike]


def clustered_quantile(values: npt.ArrayLike, units: npt.ArrayLike, level: float) -> Estimate:
    """The value that ``level`` (0 to 1) of the events do not exceed (arXiv:1803.06336,
    arXiv:2401.14549 algorithm 1).

    The variance for independent events comes from two order statistics next to the quantile. It is
    increased by how much more the share of events below it varies by users than by events. Raises
    Refused for a number that is not finite.
    """
    events = np.asarray(values, dtype=np.float64)
    whose = np.asarray(units)
    if events.shape != whose.shape or not np.isfinite(events).all() or not 0 < level < 1:
        raise Refused(
            f"{len(events)} finite values of {len(whose)} users at a level of {level:g}: one user "
            "for each, 0-1"
        )
    if not len(events):
        return Unclear("no_data")
    _, member = np.unique(whose, return_inverse=True)
    counts = np.bincount(member)
    if len(counts) < _LEAST_UNITS:
        return Unclear("too_few_units")
    return _estimate_quantile(events, member, counts, level)


def clustered_quantile_difference(
    control: Events, treatment: Events, level: float, *, relative: bool = False
) -> Estimate:
    """Treatment minus control, or with ``relative`` as a share of the control's value."""
    arms = clustered_quantile(*control, level), clustered_quantile(*treatment, level)
    if relative:
        return moments.relative_difference(*arms)
    return moments.difference(*arms)


def _estimate_quantile(
    events: Floats, member: npt.NDArray[Any], counts: npt.NDArray[Any], level: float
) -> Estimate:
    n = len(events)
    if n <= _Z**2 * max(level / (1 - level), (1 - level) / level):
        return Unclear("quantile_unresolved")
    found, low, high = _order_statistics(events, level)
    below = np.bincount(member, weights=events <= found, minlength=len(counts))
    clustered = delta_ratio(Sums.of(below, counts))
    if high <= low or isinstance(clustered, Unclear):
        return Unclear("quantile_unresolved")
    independent = (n - 1) / n * ((high - low) / (2 * _Z)) ** 2
    return Moments(len(counts), found, independent * clustered.variance / (level * (1 - level) / n))


def _order_statistics(events: Floats, level: float) -> tuple[float, float, float]:
    """The quantile, and the ends of its interval for independent events."""
    n = len(events)
    half = _Z * math.sqrt(level * (1 - level) / n)
    # 0.95 * 100 is 95.00000000000001 in floats in some computations; no rank may depend on that.
    ranks = (
        math.ceil(n * level - 1e-9),
        max(1, math.floor(n * (level - half))),
        min(n, math.ceil(n * (level + half))),
    )
    places = [rank - 1 for rank in ranks]
    found, low, high = np.partition(events, places)[places].tolist()
    return found, low, high
