"""The confidence sequence (section 4): an interval that is valid at all looks together.

Asymptotic confidence sequence of arXiv:2103.06476 with the normal mixture of arXiv:1810.08240.
``n`` counts what the evidence grows with: searches of both arms in a canary, units of both arms in
an experiment. ``n_star`` is the n at which the interval is narrowest relative to a fixed one; it
must not change after the first look.
"""

import math
from functools import lru_cache
from typing import Literal


def confidence_sequence(
    difference: float,
    standard_error: float,
    n: float,
    alpha: float,
    n_star: float,
    sided: Literal[1, 2] = 2,
) -> tuple[float, float]:
    """The interval around ``difference`` that contains the true one at all looks together, except
    with probability ``alpha``.

    ``sided`` 1: each of the two bounds is valid alone at ``alpha``. Raises ValueError for a
    difference that is not finite and for a standard error, n or n_star that is not positive:
    without variance there is no number, see ``moments.Unclear``.
    """
    if sided not in (1, 2):
        raise ValueError(f"sided is {sided}, expected 1 or 2")
    _check_numbers(difference, standard_error, n, alpha * (3 - sided), n_star)
    half = (half_two_sided if sided == 2 else half_one_sided)(standard_error, n, n_star, alpha)
    return difference - half, difference + half


def sequential_p(
    difference: float, standard_error: float, n: float, alpha: float, n_star: float
) -> float:
    """Two-sided p of this look, at most ``alpha`` exactly where ``confidence_sequence`` excludes 0;
    the smallest over all looks is valid at each of them, and the caller keeps it. Raises as
    ``confidence_sequence`` does."""
    _check_numbers(difference, standard_error, n, alpha, n_star)
    return p_value(difference, standard_error, n, n_star, alpha)


def half_two_sided(error: float, n: float, n_star: float, alpha: float) -> float:
    """Half the width of the interval around an estimate whose standard error is ``error``."""
    k = n * _rho_squared(alpha, n_star)
    return error * math.sqrt(2 * (k + 1) / k * math.log(math.sqrt(k + 1) / alpha))


def half_one_sided(error: float, n: float, n_star: float, alpha: float) -> float:
    """The same for a single bound."""
    k = n * _rho_squared(2 * alpha, n_star)
    return error * math.sqrt(2 * (k + 1) / k * math.log(1 + math.sqrt(k + 1) / (2 * alpha)))


def half_from_start(error: float, n: float, start: float, alpha: float) -> float:
    """The same for a single bound that nobody looks at before ``start``, so that it is narrower
    there (Robbins and Siegmund, Annals of Mathematical Statistics 41, 1970). Raises ValueError for
    an earlier n."""
    if n < start:
        raise ValueError(f"n is {n}, and the bound is valid from {start} on")
    return error * math.sqrt(_height_at_start(alpha) ** 2 + math.log(n / start))


@lru_cache
def _height_at_start(alpha: float) -> float:
    """Returns the a for which a Wiener process rises above sqrt(t (a² + ln(t / start))) at any t
    from the start on with at most probability ``alpha``.

    The mixture of exp(xy - ty²/2) over all y > 0 is a martingale. It gives that probability:
    1 - Φ(a) + a φ(a) + φ(a)² / Φ(a), which falls with a.
    """
    low = 0.0
    high = 40.0
    for _ in range(60):
        middle = (low + high) / 2
        density = math.exp(-middle * middle / 2) / math.sqrt(2 * math.pi)
        above = math.erfc(middle / math.sqrt(2)) / 2
        if above + middle * density + density**2 / (1 - above) > alpha:
            low = middle
        else:
            high = middle
    return high


def p_value(effect: float, error: float, n: float, n_star: float, alpha: float) -> float:
    """Two-sided; keep the smallest over all looks."""
    k = n * _rho_squared(alpha, n_star)
    return min(1.0, math.sqrt(k + 1) * math.exp(-(k / (k + 1)) * (effect / error) ** 2 / 2))


def _rho_squared(alpha: float, n_star: float) -> float:
    return (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / n_star


def _check_numbers(difference: float, error: float, n: float, alpha: float, n_star: float) -> None:
    if not math.isfinite(difference):
        raise ValueError(f"a difference of {difference} is no number; expected a finite one")
    if not (0 < error < math.inf and n > 0 and n_star > 0 and 0 < alpha < 1):
        raise ValueError(
            f"standard error {error}, n {n} and n_star {n_star} are to be positive, alpha {alpha} "
            "between 0 and 1"
        )
