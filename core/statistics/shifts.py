"""Has something moved? Distances between distributions, exact tests of paired outcomes, quantiles
of chance.

Each process that passes a gate comes here, so nothing loads ``scipy.stats``: that takes 0.8 s of
the processor and 64 MB.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import scipy

from qdrant_rollouts.core.ports import FloatArray
from qdrant_rollouts.core.statistics.moments import Floats


def ks_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Kolmogorov-Smirnov distance of two samples, 0 to 1; NaN if one has a NaN. Raises ValueError
    if one is empty."""
    if not len(one) or not len(other):
        raise ValueError("an empty sample has no distribution")
    places = np.concatenate((one, other))
    if np.isnan(places).any():
        return math.nan
    return float(np.abs(_share_below(one, places) - _share_below(other, places)).max())


def _share_below(values: Sequence[float], places: Floats) -> Floats:
    """Returns for each place the share of the values that are not above it."""
    found: Floats = np.searchsorted(np.sort(values), places, side="right") / len(values)
    return found


def mcnemar_greater(b: int, c: int) -> float:
    """One-sided exact p that ``b`` changes to the worse and ``c`` to the better are chance; 1
    without any."""
    if b + c:
        return float(scipy.special.bdtrc(b - 1, b + c, 0.5))
    return 1.0


def chance_floor(scores: FloatArray, size: int, chance: float = 0.01) -> float:
    """The score that the best of ``size`` unrelated documents reaches with probability ``chance``,
    from ``scores`` (float32[n]) of unrelated pairs. The spread is that of the lower half, as of a
    normal distribution, because slightly related pairs lie above the middle. Raises ValueError for
    no score and for no document."""
    if not len(scores) or size < 1:
        raise ValueError(
            f"{len(scores)} scores and {size} documents: a floor needs one of each at least"
        )
    middle, low = (float(np.quantile(scores, share)) for share in (0.5, _LOW))
    spread = (middle - low) / -NormalDist().inv_cdf(_LOW)
    return middle - spread * NormalDist().inv_cdf(chance / size)


_LOW = 0.1
