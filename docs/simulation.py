"""Simulated canaries: users of both arms, a look every few minutes, and the product's own rules.

Searches cluster by user: each has their own speed and a heavy-tailed number of searches; the load
drifts over the day, alike for both arms. The judgment is not simulated: ``judge_canary`` and
``find_tripped_breaker`` are the product's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from qdrant_rollouts.core.config.index_file import BreakersSpec, CanarySpec
from qdrant_rollouts.core.deployments.canary_breakers import (
    Look,
    find_tripped_breaker,
    measure_error_rate,
)
from qdrant_rollouts.core.deployments.canary_judgment import judge_canary
from qdrant_rollouts.core.statistics import histogram
from qdrant_rollouts.core.statistics.assignment import BASIS, canary_ranges
from qdrant_rollouts.core.statistics.groups import GROUPS
from qdrant_rollouts.core.statistics.traffic_sketch import Columns

#: Share of all searches in basis points, and minutes: the default stages that have a control.
STAGES = ((500, 30), (2500, 60), (5000, 120))


@dataclass(frozen=True, slots=True)
class Case:
    """``slower`` multiplies green's latencies, ``failing`` is added to its errors; ``rate``: all
    searches a second. ``median_ms``: the median latency of blue while the load is lowest."""

    rate: float = 10.0
    users: int = 10_000
    heavy: bool = False
    errors: float = 0.002
    slower: float = 1.0
    failing: float = 0.0
    drift: float = 0.5
    look_minutes: int = 5
    undecided: Literal["proceed", "pause"] = "proceed"
    stages: tuple[tuple[int, int], ...] = STAGES
    median_ms: float = 20.0
    breakers: BreakersSpec = field(default_factory=BreakersSpec)


@dataclass(frozen=True, slots=True)
class Ending:
    """``how``: promoted, rolled back or held. ``searches`` are green's."""

    how: str
    minutes: int
    searches: int


class Arm:
    """Searches as the product counts them, in whole arrays at a time."""

    def __init__(self) -> None:
        self._counts = np.zeros(GROUPS * histogram.BUCKETS, dtype=np.int64)
        #: Where there is a count: much faster to look through.
        self._used = np.zeros(GROUPS * histogram.BUCKETS, dtype=np.bool_)
        self._failed = np.zeros(GROUPS, dtype=np.int64)
        self._columns: Columns | None = None
        self.seconds = 0.0
        self.calls = 0
        self.errors = 0

    def add(
        self,
        groups: npt.NDArray[np.int64],
        seconds: npt.NDArray[np.float64],
        failed: npt.NDArray[np.bool_],
    ) -> None:
        cells = groups * histogram.BUCKETS + _buckets(seconds)
        np.add.at(self._counts, cells, 1)
        self._used[cells] = True
        np.add.at(self._failed, groups[failed], 1)
        self.seconds += float(seconds.sum())
        self.calls += len(seconds)
        self.errors += int(failed.sum())
        self._columns = None

    @property
    def error_rate(self) -> float:
        return self.errors / self.calls

    def columns(self) -> Columns:
        if self._columns is None:
            used = np.flatnonzero(self._used)
            places = used // histogram.BUCKETS, used % histogram.BUCKETS
            self._columns = Columns(*places, self._counts[used], self._failed.copy())
        return self._columns


class Crowd:
    """The users of one run."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.rng = np.random.default_rng(seed)
        self._bucket = self.rng.integers(0, BASIS, case.users)
        self._group = self.rng.integers(0, GROUPS, case.users)
        self._speed = self.rng.lognormal(0, 0.2, case.users)
        ranks = np.arange(1, case.users + 1)
        self._habit = ranks**-0.8 if case.heavy else self.rng.lognormal(0, 1, case.users)
        self._habit /= self._habit.sum()

    def search(
        self, arm: Arm, ranges: Sequence[tuple[int, int]], minute: int, *, green: bool
    ) -> None:
        """What the users of these buckets search in the minutes of one look."""
        case = self.case
        rng = self.rng
        mine = np.zeros(case.users, dtype=bool)
        for start, end in ranges:
            mine |= (self._bucket >= start) & (self._bucket < end)
        users = np.flatnonzero(mine)
        weight = float(self._habit[users].sum())
        searches = rng.poisson(case.rate * 60 * case.look_minutes * weight)
        if not searches:
            return
        who = rng.choice(users, searches, p=self._habit[users] / weight)
        load = 1 + case.drift * np.sin(minute / 240 * np.pi)
        seconds = case.median_ms / 1000 * load * self._speed[who] * rng.lognormal(0, 0.4, searches)
        failing = case.errors + (case.failing if green else 0.0)
        arm.add(
            self._group[who],
            seconds * (case.slower if green else 1.0),
            rng.random(searches) < failing,
        )


def run(case: Case, seed: int) -> Ending:
    """One canary through the stages, as ``core.deployments.steps.shift`` runs it."""
    spec = CanarySpec(undecided=case.undecided, breakers=case.breakers)
    crowd = Crowd(case, seed)
    stages = []
    minute = 0
    for share, minutes in case.stages:
        control = Arm()
        green = Arm()
        stages.append((control, green))
        looks: list[Look] = []
        for spent in range(case.look_minutes, 2 * minutes + 1, case.look_minutes):
            before = green.seconds, green.calls, control.seconds, control.calls
            for arm, ranges in zip((control, green), canary_ranges(share), strict=True):
                crowd.search(arm, ranges, minute, green=arm is green)
            minute += case.look_minutes
            looks.append(
                Look(
                    green.seconds - before[0],
                    green.calls - before[1],
                    control.seconds - before[2],
                    control.calls - before[3],
                )
            )
            searched = sum(one.calls for _, one in stages)
            found = judge_canary(stages, spec, share)  # type: ignore[arg-type]  # an Arm has the attributes of a TrafficSketch that are used
            beside = measure_error_rate(control, spec.breakers)  # type: ignore[arg-type]  # the same
            if found.verdict == "unhealthy" or find_tripped_breaker(
                green,  # type: ignore[arg-type]  # the same
                looks,
                spec.breakers,
                blue_errors=beside,
            ):
                return Ending("rolled back", minute, searched)
            if spent >= minutes and found.passes and green.calls >= spec.min_searches:
                break
        else:
            return Ending("held", minute, searched)
    return Ending("promoted", minute, searched)


def _buckets(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """``histogram.bucket_index`` for many values, computed from its bounds."""
    return np.searchsorted(_STARTS, seconds, side="right") - 1


_STARTS = np.array([histogram.bucket_bounds(index)[0] for index in range(histogram.BUCKETS)])
