"""Which of two interleaved lists do users prefer? An exact test that is valid at every look
(section 10.7).

Each user counts once: a win of the treatment, a loss, or a tie. Ties say nothing about the
direction and are not part of the test. Without a preference, wins and losses are tosses of a fair
coin. ``E`` is the likelihood of the observations under a win rate drawn from Beta(a, a), relative
to that coin. It is a martingale with mean 1, so the chance that it ever reaches 1/alpha is at most
alpha (Ville). A large ``a`` looks for win rates close to 1/2.
"""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import scipy

from qdrant_rollouts.core.errors import Refused

#: Win rates closer to 0 or 1 are set to these, because the likelihood at the ends is not finite.
_LEAST = 1e-12
#: The logarithm of the largest float.
_LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True, slots=True)
class Evidence:
    """``log_e``: the natural logarithm of E. ``direction``: 1 if more users prefer the treatment,
    -1 the control, 0 neither; it is shown only if ``rejects``, and is the answer then. ``p`` is
    valid at every look; keep the smallest."""

    log_e: float
    p: float
    rejects: bool
    direction: int


def e_process(wins: int, losses: int, a: float = 100) -> float:
    """E itself, from 0 to infinity; "no preference" is rejected once it reaches 1/alpha. Raises
    Refused for counts below 0 and ``a`` not above 0."""
    log_e = measure_preference(wins, losses, a).log_e
    if log_e < _LARGEST:
        return math.exp(log_e)
    return math.inf


def measure_preference(wins: int, losses: int, a: float = 100, alpha: float = 0.05) -> Evidence:
    """Against "as many users prefer the one as the other". A rejection is final, whatever comes
    later. Raises Refused for counts below 0, ``a`` not above 0, or ``alpha`` not between 0 and 1.
    """
    _check_arguments(wins, losses, a, alpha)
    log_e = _log_marginal(wins, losses, a) + (wins + losses) * math.log(2)
    direction = (wins > losses) - (wins < losses)
    return Evidence(log_e, math.exp(-max(log_e, 0.0)), log_e >= -math.log(alpha), direction)


def win_rate_interval(
    wins: int, losses: int, a: float = 100, alpha: float = 0.05
) -> tuple[float, float]:
    """The win rates among users with a preference that the same test does not reject, for all looks
    at once: a confidence sequence. 1/2 is outside exactly where ``measure_preference`` rejects."""
    _check_arguments(wins, losses, a, alpha)
    level = _log_marginal(wins, losses, a) + math.log(alpha)

    def excess(rate: float) -> float:
        return level - float(
            scipy.special.xlogy(wins, rate) + scipy.special.xlogy(losses, 1 - rate)
        )

    seen = 0.5
    if wins + losses:
        seen = wins / (wins + losses)
    low = 0.0
    if wins and excess(_LEAST) > 0:
        low = scipy.optimize.brentq(excess, _LEAST, seen)
    high = 1.0
    if losses and excess(1 - _LEAST) > 0:
        high = scipy.optimize.brentq(excess, seen, 1 - _LEAST)
    return float(low), float(high)


def preference_share(wins: int, ties: int, losses: int) -> float | None:
    """By how much more than half of the users prefer the treatment, from -1/2 to 1/2, where a tie
    is half a user; None without users. For display only: ties do not weaken the test."""
    for name, count in (("wins", wins), ("ties", ties), ("losses", losses)):
        _check_count(name, count)
    users = wins + ties + losses
    if not users:
        return None
    return (wins + ties / 2) / users - 0.5


def vote_of_user(signs: Iterable[int]) -> int:
    """A user's vote from the signs of their queries' credits: 1 for treatment, -1 for control, 0
    for a tie."""
    total = sum(signs)
    return (total > 0) - (total < 0)


def _log_marginal(wins: int, losses: int, a: float) -> float:
    return float(scipy.special.betaln(a + wins, a + losses) - scipy.special.betaln(a, a))


def _check_arguments(wins: int, losses: int, a: float, alpha: float) -> None:
    _check_count("wins", wins)
    _check_count("losses", losses)
    if not (a > 0 and math.isfinite(a)):
        raise Refused(f"a = {a:g} is not a finite number above 0: take 100, or 1 for large effects")
    if not 0 < alpha < 1:
        raise Refused(f"alpha = {alpha:g} is not between 0 and 1: take 0.05")


def _check_count(name: str, count: int) -> None:
    if count < 0:
        raise Refused(f"{count} {name} is below 0: count users")
    if not math.isfinite(count):
        raise Refused(f"{count} {name} is no number: count users")
