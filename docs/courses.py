"""Simulated experiments from the first day to the decision: users come, every day is a look,
``decide`` decides."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from docs.trials import ALPHA, DRAWS, LONGER, METRICS, Arm, detectable
from qdrant_rollouts.core.statistics.balance import concentration_for, srm_sequential
from qdrant_rollouts.core.statistics.comparison import Comparison, Goal, Stratum, compare
from qdrant_rollouts.core.statistics.decision import Action, Decision, Limits, Quality, decide
from qdrant_rollouts.core.statistics.metric import Metric

#: Users a day, in both arms together.
DAILY = 200
DAYS = 28
#: N* is planned for this effect on clicks.
_PLANNED = 0.10


@dataclass(frozen=True, slots=True)
class Course:
    """``clicks`` and ``latency`` are the treatment's effects; ``share`` of all users reach it,
    where half should."""

    clicks: float = 0.0
    latency: float = 0.0
    share: float = 0.5
    goal: Goal = "superiority"
    margin: float = 0.05
    target: float = 0.10

    def metrics(self) -> tuple[Metric, Metric]:
        return (
            replace(METRICS["ratio"], relative=True, margin=self.margin),
            replace(METRICS["quantile"], role="guardrail", relative=True, margin=0.10),
        )


def run(course: Course, seed: int) -> tuple[Decision, int]:
    """Returns the decision, and its day."""
    rng = np.random.default_rng(seed)
    limits = Limits(goal=course.goal, max_days=DAYS, target=course.target)
    treated = rng.binomial(DAILY, course.share, DAYS).cumsum()
    looks = [(DAILY * day - int(count), int(count)) for day, count in enumerate(treated, 1)]
    arms = _arms(course, rng, looks[-1])
    closed: Sequence[Comparison] = ()
    smallest = 1.0
    for day, units in enumerate(looks, 1):
        smallest = min(smallest, srm_sequential(units, (1, 1), concentration_for(DAILY * DAYS))[1])
        now = tuple(_compared(course, arms, units))
        found = decide(
            metrics=course.metrics(),
            quality=Quality(smallest, 0.0, 0.0, ""),
            now=now,
            closed=closed,
            days=day,
            units=units,
            conversions=_conversions(arms, units),
            limits=limits,
        )
        if found.action != Action.KEEP_RUNNING:
            return found, day
        closed = now  # the windows of today's users close tomorrow
    raise AssertionError("an experiment ends with its last day")


Arms = Sequence[tuple[Arm, Arm]]


def _arms(course: Course, rng: np.random.Generator, units: tuple[int, int]) -> Arms:
    """Control and treatment for each metric."""
    effects = {"ratio": course.clicks, "quantile": course.latency}
    return [
        (
            DRAWS[metric.kind](rng, units[0], 0.0),
            DRAWS[metric.kind](rng, units[1], effects[metric.kind]),
        )
        for metric in course.metrics()
    ]


def _compared(course: Course, arms: Arms, units: tuple[int, int]) -> Iterator[Comparison]:
    planned = 1600 * (detectable(METRICS["ratio"], 1600) / _PLANNED) ** 2
    for metric, pair in zip(course.metrics(), arms, strict=True):
        control, treatment = (
            arm.estimate(metric, count) for arm, count in zip(pair, units, strict=True)
        )
        stage = Stratum(units[1], control, treatment)
        n_star = math.ceil(LONGER * 2 * planned)
        yield compare(metric, [stage], units=units, n_star=n_star, alpha=ALPHA, goal=course.goal)


def _conversions(arms: Arms, units: tuple[int, int]) -> int:
    clicks = arms[0]
    return int(max(arm.totals[:count].sum() for arm, count in zip(clicks, units, strict=True)))
