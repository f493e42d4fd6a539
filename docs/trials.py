"""Simulated experiments: users of two arms whose events cluster, and the product's own analysis at
every look.

Nothing of the analysis is simulated: ``compare`` and the estimators are the product's. Effects are
multiples: 0.1 makes 10 % more visits, satisfied users, clicks a search, or latency.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from qdrant_rollouts.core.statistics.comparison import Comparison, Stratum, compare
from qdrant_rollouts.core.statistics.metric import Kind, Metric
from qdrant_rollouts.core.statistics.moments import Estimate, Moments
from qdrant_rollouts.core.statistics.quantiles import clustered_quantile
from qdrant_rollouts.core.statistics.sums import Sums

#: z of 1 - alpha/2 and of power .80: the effect of this many standard errors is found by a fixed
#: test in 80 %.
DETECTABLE = 1.959964 + 0.841621
ALPHA = 0.05
LOOKS = 28
#: The sequence is narrowest where it has as much power as the fixed test (section 8).
LONGER = 1.75

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Arm:
    """Users in the order they came: a total and a number of events for each; or for quantiles each
    event's value."""

    totals: Values
    counts: Values
    events: Values | None = None

    def estimate(self, metric: Metric, users: int) -> Estimate:
        """Estimates over the first ``users``."""
        if self.events is None:
            return metric.estimate(Sums.of(self.totals[:users], self.counts[:users]))
        counts = self.counts[:users].astype(np.int64)
        assert metric.level is not None
        return clustered_quantile(
            self.events[: counts.sum()], np.repeat(np.arange(users), counts), metric.level
        )


def _visits(rng: np.random.Generator, users: int, effect: float) -> Arm:
    return _mean(rng.poisson(rng.gamma(1.5, 2.0, users) * (1 + effect)))


def _satisfied(rng: np.random.Generator, users: int, effect: float) -> Arm:
    return _mean(rng.random(users) < 0.3 * (1 + effect))


def _clicks(rng: np.random.Generator, users: int, effect: float) -> Arm:
    searches = _searches(rng, users)
    chance = np.minimum(rng.beta(2, 4, users) * (1 + effect), 1)
    return Arm(rng.binomial(searches, chance).astype(np.float64), searches.astype(np.float64))


def _latency(rng: np.random.Generator, users: int, effect: float) -> Arm:
    searches = _searches(rng, users)
    seconds = 0.02 * (1 + effect) * np.repeat(rng.lognormal(0, 0.3, users), searches)
    return Arm(
        np.zeros(users), searches.astype(np.float64), seconds * rng.lognormal(0, 0.4, len(seconds))
    )


def _mean(totals: npt.NDArray[np.generic]) -> Arm:
    return Arm(totals.astype(np.float64), np.ones(len(totals)))


def _searches(rng: np.random.Generator, users: int) -> npt.NDArray[np.int64]:
    """Most users search a few times, some very often."""
    return 1 + rng.poisson(rng.lognormal(0.7, 0.8, users))


DRAWS: Mapping[Kind, Callable[[np.random.Generator, int, float], Arm]] = {
    "mean": _visits,
    "proportion": _satisfied,
    "ratio": _clicks,
    "quantile": _latency,
}
METRICS: Mapping[Kind, Metric] = {
    "mean": Metric("visits per user", "mean", "primary", 1, 0.05),
    "proportion": Metric("satisfied users", "proportion", "primary", 1, 0.01),
    "ratio": Metric("clicks per search", "ratio", "primary", 1, 0.01),
    "quantile": Metric("p95 latency", "quantile", "primary", -1, 0.002, level=0.95),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """``users`` of each arm; at each of ``looks`` (numbers of users of one arm) more of them have
    come."""

    metric: Metric
    users: int
    looks: tuple[int, ...]
    effect: float = 0.0

    def arms(self, seed: int) -> tuple[Arm, Arm]:
        draw = DRAWS[self.metric.kind]
        rng = np.random.default_rng(seed)
        return draw(rng, self.users, 0.0), draw(rng, self.users, self.effect)

    def run(self, seed: int) -> list[Comparison]:
        """Returns the product's result at each look."""
        arms = self.arms(seed)
        return [self.look(arms, (users, users)) for users in self.looks]

    def look(self, arms: tuple[Arm, Arm], users: tuple[int, int]) -> Comparison:
        control, treatment = (
            arm.estimate(self.metric, count) for arm, count in zip(arms, users, strict=True)
        )
        stage = Stratum(users[1], control, treatment)
        return compare(self.metric, [stage], units=users, n_star=2 * self.users, alpha=ALPHA)


def even_looks(users: int, looks: int = LOOKS, first: int = 100) -> tuple[int, ...]:
    return tuple(int(count) for count in np.linspace(max(first, users / looks), users, looks))


@cache
def detectable(metric: Metric, users: int) -> float:
    """The effect that a fixed t-test of ``users`` in each arm finds in 80 % of experiments."""
    many = 200_000
    found = DRAWS[metric.kind](np.random.default_rng(0), many, 0.0).estimate(metric, many)
    assert isinstance(found, Moments)
    return DETECTABLE * math.sqrt(2 * found.variance * many / users) / found.estimate


def first_rejection(looks: Sequence[Comparison]) -> int | None:
    """Returns the first look at which the sequence excludes no difference."""
    return next((place for place, found in enumerate(looks) if found.better or found.worse), None)


def fixed_rejects(found: Comparison) -> bool:
    """Welch's test at this look alone."""
    return found.t_test is not None and found.t_test.p < ALPHA


def ramp(seed: int) -> tuple[Comparison, Comparison]:
    """Two equal arms over a ramp in which the treatment gets 1, 5, 25 and 50 % of 20 000 users
    each, while the share of users who click rises from 10 to 14 %: analysed stage by stage, and as
    a single stage."""
    rng = np.random.default_rng(seed)
    metric = METRICS["proportion"]
    stages = [
        [_zeros_and_ones(rng, round(20_000 * part), rate) for part in (1 - share, share)]
        for share, rate in ((0.01, 0.10), (0.05, 0.11), (0.25, 0.12), (0.50, 0.14))
    ]
    whole = [sum(arms, start=Sums()) for arms in zip(*stages, strict=True)]
    units = (whole[0].units, whole[1].units)
    by_stage, pooled = (
        [
            Stratum(arms[1].units, metric.estimate(arms[0]), metric.estimate(arms[1]))
            for arms in some
        ]
        for some in (stages, [whole])
    )
    return (
        compare(metric, by_stage, units=units, n_star=40_000, alpha=ALPHA),
        compare(metric, pooled, units=units, n_star=40_000, alpha=ALPHA),
    )


def _zeros_and_ones(rng: np.random.Generator, users: int, rate: float) -> Sums:
    ones = int(rng.binomial(users, rate))
    return Sums(users, ones, users, ones, users, ones)
