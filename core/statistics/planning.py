"""How many users and days does an experiment need? (section 8)

Computed before the start: users **per arm** for a fixed test, and N*, the users of both arms for
which the sequence is designed. Numbers are not rounded; the caller rounds up. All functions raise
Refused for invalid arguments.
"""

import math

import scipy

from qdrant_rollouts.core.errors import Refused

#: By simulation the sequence has the power of the fixed test at 1.75 times its sample.
_SEQUENCE = 1.75


def users_for_mean(
    deviation: float, effect: float, alpha: float = 0.05, power: float = 0.8, guardrails: int = 0
) -> float:
    """Per arm. ``deviation``: of one user, in the unit of ``effect``. For a ratio it is sqrt(users
    * variance of the estimate); for a relative effect both are divided by the control's mean, or
    the effect is multiplied by it.

    All ``guardrails`` must pass too, so each may miss with a share of 1 - power only. Two-sided
    ``alpha``; with k primaries it is alpha / k.
    """
    _check_above_zero("a standard deviation", deviation, "take it from earlier traffic")
    return 2 * _z_squared(alpha, power, guardrails) * (deviation / _check_effect(effect)) ** 2


def users_for_rate(
    control: float, treatment: float, alpha: float = 0.05, power: float = 0.8, guardrails: int = 0
) -> float:
    """Per arm, for shares of users such as satisfied users: the control's rate, and the treatment's
    rate to be found."""
    _check_rate("control's rate", control)
    _check_rate("treatment's rate", treatment)
    variance = control * (1 - control) + treatment * (1 - treatment)
    return _z_squared(alpha, power, guardrails) * variance / _check_effect(treatment - control) ** 2


def n_star(users_per_arm: float) -> int:
    """Users of both arms, stored before the start and never changed."""
    _check_above_zero(
        "a number of users per arm", users_per_arm, "plan it with users_for_mean or users_for_rate"
    )
    return math.ceil(_SEQUENCE * 2 * users_per_arm)


def diluted_users(users: float, affected: float) -> float:
    """Users needed if only the share ``affected`` of them can meet a difference, and all are
    analysed."""
    _check_above_zero("a number of users", users, "plan it with users_for_mean or users_for_rate")
    if not 0 < affected <= 1:
        raise Refused(
            f"a share of {affected:g} affected users is not above 0 and at most 1: take it from "
            "past queries"
        )
    return users / affected**2


def detectable(error: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The effect that one fixed test finds now with that power. ``error``: standard error of the
    difference."""
    _check_above_zero("a standard error", error, "wait for data")
    return (
        _normal_quantile(1 - _check_alpha(alpha) / 2) + _normal_quantile(_check_power(power))
    ) * error


def detectable_in_sequence(error: float, half_width: float, power: float = 0.8) -> float:
    """The same for the sequence, from half the width of its two-sided interval now."""
    _check_above_zero("a standard error", error, "wait for data")
    _check_above_zero("half an interval's width", half_width, "wait for data")
    return half_width + _normal_quantile(_check_power(power)) * error


def days(users_needed: float, users_per_day: float) -> float:
    """Until this many users of both arms have come. ``users_per_day``: new enrolled users; a
    returning user counts once."""
    _check_above_zero(
        "a number of users", users_needed, "plan it with users_for_mean or users_for_rate"
    )
    _check_above_zero(
        "a number of users per day", users_per_day, "raise the coverage or wait for traffic"
    )
    return users_needed / users_per_day


def days_left(days_so_far: float, half_width: float, target: float) -> float:
    """Until half the interval's width is ``target``, as it falls with the root of the users; 0 when
    it is (7.5)."""
    _check_above_zero("a number of days", days_so_far, "wait for data")
    _check_above_zero("half an interval's width", half_width, "wait for data")
    _check_above_zero("a target", target, "name the smallest effect worth finding")
    return max(0.0, days_so_far * ((half_width / target) ** 2 - 1))


def _z_squared(alpha: float, power: float, guardrails: int) -> float:
    if guardrails < 0:
        raise Refused(
            f"{guardrails} guardrails is below 0: count the metrics that must not get worse"
        )
    miss = (1 - _check_power(power)) / (guardrails + 1)
    return (_normal_quantile(1 - _check_alpha(alpha) / 2) + _normal_quantile(1 - miss)) ** 2


def _normal_quantile(level: float) -> float:
    return float(scipy.special.ndtri(level))


def _check_effect(effect: float) -> float:
    if not math.isfinite(effect) or effect == 0:
        raise Refused(
            f"an effect of {effect:g} cannot be planned for: name the smallest difference worth "
            "finding"
        )
    return effect


def _check_rate(name: str, rate: float) -> None:
    if not 0 <= rate <= 1:
        raise Refused(f"{name} of {rate:g} is not from 0 to 1: give it as a share, 10 % as 0.1")


def _check_alpha(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise Refused(f"alpha {alpha:g} is not between 0 and 1: take 0.05")
    return alpha


def _check_power(power: float) -> float:
    if not 0.5 <= power < 1:
        raise Refused(f"power {power:g} is not from 0.5 to below 1: take 0.8")
    return power


def _check_above_zero(name: str, value: float, advice: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise Refused(f"{name} of {value:g} is not a finite number above 0: {advice}")
