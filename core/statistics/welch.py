"""Welch's t-test (1947) from two estimates (section 3). It is valid for one planned look, so it is
shown and never decides."""

import math
from dataclasses import dataclass

import scipy

from qdrant_rollouts.core.statistics import moments
from qdrant_rollouts.core.statistics.moments import Estimate, Unclear


@dataclass(frozen=True, slots=True)
class Welch:
    """``difference`` is treatment minus control, or its share of the control's value; ``df`` are
    degrees of freedom."""

    difference: float
    standard_error: float
    df: float
    low: float
    high: float
    p: float


def welch_from_moments(
    control: Estimate, treatment: Estimate, alpha: float = 0.05, relative: bool = False
) -> Welch | Unclear:
    """Two-sided, with an interval of 1 - ``alpha``. ``relative``: for the difference as a share of
    the control's value, by the delta method with the same degrees of freedom."""
    if relative:
        effect = moments.relative_difference(control, treatment)
    else:
        effect = moments.difference(control, treatment)
    if (
        isinstance(control, Unclear)
        or isinstance(treatment, Unclear)
        or isinstance(effect, Unclear)
    ):
        if isinstance(effect, Unclear):
            return effect
        return Unclear("no_data")
    if min(control.units, treatment.units) < 2:
        return Unclear("too_few_units")
    total = control.variance + treatment.variance
    if min(control.variance, treatment.variance) < 0 or not 0 < total < math.inf:
        return Unclear("variance_not_positive")
    share = control.variance / total
    df = 1 / (share**2 / (control.units - 1) + (1 - share) ** 2 / (treatment.units - 1))
    error = math.sqrt(effect.variance)
    half = float(scipy.special.stdtrit(df, 1 - alpha / 2)) * error
    p = 2 * float(scipy.special.stdtr(df, -abs(effect.estimate) / error))
    return Welch(effect.estimate, error, df, effect.estimate - half, effect.estimate + half, p)
