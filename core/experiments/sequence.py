"""The confidence sequence (section 4): an interval that holds at every look at once.

Asymptotic confidence sequence of arXiv:2103.06476 with the normal mixture of arXiv:1810.08240. ``n`` counts what the
evidence grows with, here searches of both arms; ``n_star`` is the n at which the interval is narrowest relative to a
fixed one, and is never changed once looking has begun.
"""

import math


def half_two_sided(error: float, n: float, n_star: float, alpha: float) -> float:
    """Half the width of the interval around an estimate whose standard error is ``error``."""
    k = n * _rho_squared(alpha, n_star)
    return error * math.sqrt(2 * (k + 1) / k * math.log(math.sqrt(k + 1) / alpha))


def half_one_sided(error: float, n: float, n_star: float, alpha: float) -> float:
    """The same for one bound alone."""
    k = n * _rho_squared(2 * alpha, n_star)
    return error * math.sqrt(2 * (k + 1) / k * math.log(1 + math.sqrt(k + 1) / (2 * alpha)))


def p_value(effect: float, error: float, n: float, n_star: float, alpha: float) -> float:
    """Two-sided; keep the smallest over all looks."""
    k = n * _rho_squared(alpha, n_star)
    return min(1.0, math.sqrt(k + 1) * math.exp(-(k / (k + 1)) * (effect / error) ** 2 / 2))


def _rho_squared(alpha: float, n_star: float) -> float:
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / n_star
