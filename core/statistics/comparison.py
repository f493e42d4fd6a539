"""Compares one metric of a treatment with the control, over all stages, at one look (sections 3, 4,
6 and 9)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qdrant_rollouts.core.statistics import moments
from qdrant_rollouts.core.statistics.metric import Kind, Metric, Role, Unit
from qdrant_rollouts.core.statistics.moments import Estimate, Moments, Unclear
from qdrant_rollouts.core.statistics.sequence import confidence_sequence, sequential_p
from qdrant_rollouts.core.statistics.welch import Welch, welch_from_moments

#: Units that each arm needs before an interval is given, because the sequence is asymptotic.
LEAST_UNITS = 100

Goal = Literal["superiority", "replacement"]
Verdict = Literal["better", "worse", "not_worse", "unclear"]


@dataclass(frozen=True, slots=True)
class Stratum:
    """One stage. ``weight`` is its number of treatment units: a unit belongs to the stage of its
    first exposure."""

    weight: float
    control: Estimate
    treatment: Estimate


@dataclass(frozen=True, slots=True)
class Relative:
    """The difference as a share of the control's value, with its two-sided interval that is valid
    at every look, or the reason why there is none."""

    effect: float | None
    low: float | None
    high: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class FixedTest:
    """Welch's t-test, for comparison. With more than one look it is wrong far too often; see
    docs/understand/experiments-measured.md."""

    low: float
    high: float
    p: float
    valid: str = "for one planned look only"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A missing number is None, and ``reason`` has its code. All numbers are finite.

    ``control`` and ``treatment`` are in the metric's unit, each weighted over the stages in the
    same way; ``difference`` to ``high`` and ``bound_low``, ``bound_high`` are in ``scale``. ``low``
    and ``high``: the two-sided interval at ``alpha``. ``bound_low`` and ``bound_high`` decide the
    verdict: each separately at ``alpha`` for guardrails, and for primaries in a replacement;
    otherwise the same as the interval. ``p`` is that of this look. ``left_out``: number and reason
    code of each stage that contributes nothing. ``worse`` and ``not_worse`` can be true together:
    certainly worse, and certainly by less than the margin.
    """

    metric: str
    role: Role
    kind: Kind
    variant: str
    scale: Literal["absolute", "relative"]
    units: tuple[int, int]
    control: float | None
    treatment: float | None
    difference: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    bound_low: float | None
    bound_high: float | None
    p: float | None
    relative: Relative
    t_test: FixedTest | None
    alpha: float
    margin: float
    min_effect: float
    better: bool
    worse: bool
    not_worse: bool
    verdict: Verdict
    reason: str
    left_out: tuple[tuple[int, str], ...]
    unit: Unit = "plain"


def compare(
    metric: Metric,
    strata: Sequence[Stratum],
    *,
    units: tuple[int, int],
    n_star: float,
    alpha: float,
    variant: str = "treatment",
    goal: Goal = "superiority",
) -> Comparison:
    """``units``: those of control and treatment that the look reads, over all stages. ``alpha`` is
    the metric's own: the experiment's, divided by the number of primaries (times that of
    treatments) for a primary of a superiority test.

    Compares within each stage, then over the stages, weighted by the treatment's units, so a drift
    of traffic between stages is not a difference.
    """
    control, treatment, left_out = _combine_stages(strata)
    effect = _estimate_effect(control, treatment, relative=metric.relative)
    reason = _why_without_interval(effect, control, treatment, units)
    look = _Look(metric, sum(units), n_star, alpha, variant, goal)
    shown = (
        _newest_number(control, [one.control for one in strata]),
        _newest_number(treatment, [one.treatment for one in strata]),
    )
    relative = _relative_effect(control, treatment, units, look)
    fixed = None
    if not reason:
        fixed = _as_fixed_test(welch_from_moments(control, treatment, alpha, metric.relative))
    return look.comparison(units, shown, effect, reason, relative, fixed, left_out)


@dataclass(frozen=True, slots=True)
class _Look:
    metric: Metric
    n: int
    n_star: float
    alpha: float
    variant: str
    goal: Goal

    def interval(self, effect: Moments, sided: Literal[1, 2] = 2) -> tuple[float, float]:
        error = math.sqrt(effect.variance)
        return confidence_sequence(effect.estimate, error, self.n, self.alpha, self.n_star, sided)

    def bounds(self, effect: Moments) -> tuple[float, float]:
        role = self.metric.role
        one_sided = role == "guardrail" or (role == "primary" and self.goal == "replacement")
        return self.interval(effect, 1 if one_sided else 2)

    def p(self, effect: Moments) -> float:
        return sequential_p(
            effect.estimate, math.sqrt(effect.variance), self.n, self.alpha, self.n_star
        )

    def comparison(
        self,
        units: tuple[int, int],
        shown: tuple[float | None, float | None],
        effect: Estimate,
        reason: str,
        relative: Relative,
        fixed: FixedTest | None,
        left_out: tuple[tuple[int, str], ...],
    ) -> Comparison:
        metric = self.metric
        found = None
        if isinstance(effect, Moments):
            found = effect
        sure = None if reason else found
        low, high = self.interval(sure) if sure else (None, None)
        bound_low, bound_high = self.bounds(sure) if sure else (None, None)
        better, worse, not_worse = _read_bounds(metric, bound_low, bound_high)
        holds: dict[Verdict, bool] = {
            "better": better,
            "worse": worse,
            "not_worse": not_worse,
            "unclear": True,
        }
        verdict = next(name for name, true in holds.items() if true)
        return Comparison(
            *(
                metric.name,
                metric.role,
                metric.kind,
                self.variant,
                "relative" if metric.relative else "absolute",
            ),
            units,
            *shown,
            found.estimate if found else None,
            math.sqrt(found.variance) if found else None,
            *(low, high, bound_low, bound_high),
            self.p(sure) if sure else None,
            relative,
            fixed,
            *(self.alpha, metric.margin, metric.harm),
            *(better, worse, not_worse),
            verdict,
            reason,
            left_out,
            metric.unit,
        )


def _combine_stages(
    strata: Sequence[Stratum],
) -> tuple[Estimate, Estimate, tuple[tuple[int, str], ...]]:
    """Returns both arms over the stages in which both have a number, weighted in the same way, and
    the other stages."""
    reasons = [_why_unusable(one) for one in strata]
    left_out = tuple((place, reason) for place, reason in enumerate(reasons) if reason)
    used = [one for one, reason in zip(strata, reasons, strict=True) if not reason]
    if not used:
        nothing = Unclear(left_out[-1][1] if left_out else "no_data")
        return nothing, nothing, left_out
    weights = [one.weight for one in used]
    control, treatment = ([getattr(one, arm) for one in used] for arm in ("control", "treatment"))
    return (
        moments.weighted_moments(weights, control),
        moments.weighted_moments(weights, treatment),
        left_out,
    )


def _why_unusable(stratum: Stratum) -> str:
    for arm in (stratum.control, stratum.treatment):
        if isinstance(arm, Unclear):
            return arm.reason
        if arm.units < 2:
            return "too_few_units"
        if not (0 < arm.variance < math.inf and math.isfinite(arm.estimate)):
            return "variance_not_positive"
    if stratum.weight > 0:
        return ""
    return "no_data"


def _estimate_effect(control: Estimate, treatment: Estimate, *, relative: bool) -> Estimate:
    found = (moments.relative_difference if relative else moments.difference)(control, treatment)
    if isinstance(found, Moments) and not (
        0 < found.variance < math.inf and math.isfinite(found.estimate)
    ):
        return Unclear("variance_not_positive")
    return found


def _why_without_interval(
    effect: Estimate, control: Estimate, treatment: Estimate, units: tuple[int, int]
) -> str:
    """Returns why there is no interval; empty if there is one."""
    known = [arm.units for arm in (control, treatment) if isinstance(arm, Moments)]
    if len(known) == 2 and min(*units, *known) < LEAST_UNITS:
        return "too_few_units"
    if not isinstance(effect, Unclear):
        return ""
    return effect.reason


def _relative_effect(
    control: Estimate, treatment: Estimate, units: tuple[int, int], look: _Look
) -> Relative:
    effect = _estimate_effect(control, treatment, relative=True)
    reason = _why_without_interval(effect, control, treatment, units)
    if reason or isinstance(effect, Unclear):
        return Relative(None, None, None, reason)
    return Relative(effect.estimate, *look.interval(effect, 2), "")


def _read_bounds(metric: Metric, low: float | None, high: float | None) -> tuple[bool, bool, bool]:
    """Better, worse, not worse, in terms of the benefit, which is the effect if more is better."""
    if low is None or high is None:
        return False, False, False
    least, most = (low, high) if metric.direction > 0 else (-high, -low)
    return least > 0, most < 0, least > -metric.margin


def _as_fixed_test(found: Welch | Unclear) -> FixedTest | None:
    if isinstance(found, Unclear):
        return None
    return FixedTest(found.low, found.high, found.p)


def _newest_number(found: Estimate, stages: Sequence[Estimate]) -> float | None:
    """If an arm has no number over the stages, that of its newest stage that has one."""
    known = [
        one.estimate
        for one in (*stages, found)
        if isinstance(one, Moments) and math.isfinite(one.estimate)
    ]
    return known[-1] if known else None
