"""Did the arms get their planned shares (section 5)? If not, no other result is valid."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics.moments import Floats

#: If the smallest p over all looks is below this, there is a mismatch, once this many units are in.
ALPHA = 0.001
LEAST_UNITS = 100


def srm_chi_square(counts: Sequence[int], shares: Sequence[float]) -> float | None:
    """Returns p of Pearson's test. It is valid for one look, so it is shown and never decides.
    ``shares`` are the expected ones, or widths of ranges; arms without a share are left out. None
    if fewer than two arms have a share, or there are no units."""
    seen, expected, _ = _expected_shares(counts, shares)
    if len(seen) < 2 or not seen.sum():
        return None
    wanted = seen.sum() * expected
    return float(scipy.special.chdtrc(len(seen) - 1, ((seen - wanted) ** 2 / wanted).sum()))


def srm_sequential(
    counts: Sequence[int], shares: Sequence[float], concentration: float | Sequence[float]
) -> tuple[float, float]:
    """Returns ln of the Bayes factor against the expected shares, and p of this look. The smallest
    p over all looks is valid at each of them (arXiv:2011.03567); the caller keeps it.

    ``concentration`` is that of a Dirichlet prior around the shares, see ``concentration_for``, or
    the prior's own parameter for each arm. Raises Refused for invalid shares or concentrations.
    """
    seen, expected, kept = _expected_shares(counts, shares)
    prior = np.asarray(concentration, dtype=np.float64)
    if prior.ndim and prior.shape != kept.shape:
        raise Refused(
            f"a concentration of {concentration} for {len(kept)} arms: one number for all, or one "
            "for each"
        )
    a = prior * expected if prior.ndim == 0 else prior[kept]
    if not (a > 0).all() or not np.isfinite(a).all():
        raise Refused(
            f"a concentration of {concentration} is not positive; take 100, or 1000 for many units"
        )
    prior_and_seen = scipy.special.gammaln(a + seen).sum() - scipy.special.gammaln(a).sum()
    together = scipy.special.gammaln(a.sum()) - scipy.special.gammaln(a.sum() + seen.sum())
    log_factor = float(together + prior_and_seen - seen @ np.log(expected))
    return log_factor, math.exp(min(0.0, -log_factor))


def concentration_for(expected_units: float) -> float:
    """Returns the prior that finds small faults soonest, for this total number of units."""
    if expected_units > 10_000:
        return 1000.0
    return 100.0


def is_mismatched(smallest_p: float, units: int) -> bool:
    """For the smallest p over all looks, and the units in all arms."""
    return smallest_p < ALPHA and units >= LEAST_UNITS


def _expected_shares(
    counts: Sequence[int], shares: Sequence[float]
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Returns counts and expected shares of the arms that have one, and which arms these are."""
    seen = np.asarray(counts, dtype=np.float64)
    widths = np.asarray(shares, dtype=np.float64)
    if (
        seen.shape != widths.shape
        or not (widths >= 0).all()
        or not 0 < widths.sum() < math.inf
        or (seen < 0).any()
    ):
        raise Refused(
            f"counts {list(counts)} with shares {list(shares)}: one share for each count, none "
            "below 0, not all 0"
        )
    kept = widths > 0
    return seen[kept], widths[kept] / widths.sum(), kept
