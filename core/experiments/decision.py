"""What is to be done now (section 7): a list, and the first that fits.

Rule: what is not known never ships. Evidence that is missing keeps the experiment running, until its time is up; then
control stays, since nothing found is no reason to ship.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from core.errors import Refused
from core.experiments import balance
from core.experiments.comparison import Comparison, Goal
from core.experiments.metric import Metric

#: More units in both arms, or observations of units never exposed, than this share invalidate.
TOLERATED = 0.01


class Action(StrEnum):
    INVALID = "INVALID"
    ROLLBACK = "ROLLBACK"
    KEEP_RUNNING = "KEEP_RUNNING"
    SHIP = "SHIP"
    STOP_INCONCLUSIVE = "STOP_INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Quality:
    """``srm_p``: the smallest over all looks of ``srm_sequential``. ``crossover``: share of units seen in both arms;
    ``orphans``: share of observations without exposure. ``changed`` names the collection or model stamp that is not the
    frozen one any more; empty if all are as they were. None is not known."""

    srm_p: float | None
    crossover: float | None
    orphans: float | None
    changed: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """``min_units`` of each arm; ``min_conversions`` in at least one arm, 0 where nothing converts. ``target`` is the
    effect to find as a share of control, for primaries that have none of their own. Raises Refused for bad ones."""

    goal: Goal = "superiority"
    min_days: float = 3
    max_days: float = 28
    min_units: int = 100
    min_conversions: int = 150
    target: float = 0.10

    def __post_init__(self) -> None:
        if not 0 <= self.min_days <= self.max_days < math.inf:
            raise Refused(f"from {self.min_days} to {self.max_days} days is no time: the most is not below the least")
        if self.min_units < 0 or self.min_conversions < 0 or not 0 < self.target < math.inf:
            raise Refused(f"min_units, min_conversions and target are not negative, target {self.target} is above 0")


@dataclass(frozen=True, slots=True)
class Decision:
    """``variant`` is the treatment it is about, if one; ``days_left`` an estimate, None where it cannot be told."""

    action: Action
    reason: str
    days_left: float | None = None
    variant: str | None = None


def decide(
    *,
    metrics: Sequence[Metric],
    quality: Quality,
    now: Sequence[Comparison],
    closed: Sequence[Comparison],
    days: float | None,
    units: Sequence[int] | None,
    conversions: int | None,
    limits: Limits,
) -> Decision:
    """``metrics`` are all of the experiment: one without a comparison is missing evidence. ``now`` has one comparison a
    metric and treatment, open windows included; ``closed`` the same of closed windows only. ``days`` since the start,
    ``units`` of each arm, ``conversions`` of the arm that has most. None is not known."""
    deciding = [metric for metric in metrics if metric.role != "secondary"]
    return (
        _invalid(quality, units)
        or _rollback(now)
        or _too_early(days, units, conversions, limits)
        or _ship(deciding, quality, now, closed, limits)
        or _keep_running(deciding, quality, now, closed, _known(days), limits)
        or Decision(Action.STOP_INCONCLUSIVE, _undecided(closed, _known(days)))
    )


def _invalid(quality: Quality, units: Sequence[int] | None) -> Decision | None:
    reason = ""
    if _is(quality.srm_p) and balance.mismatched(
        _known(quality.srm_p), balance.LEAST_UNITS if units is None else sum(units)
    ):
        counts = "" if units is None else f" with {' / '.join(map(str, units))} units"
        reason = f"the arms have not the shares they should have{counts}: p {quality.srm_p:.2g}, below {balance.ALPHA}"
    elif _is(quality.crossover) and _known(quality.crossover) > TOLERATED:
        reason = f"{quality.crossover:.2%} of the units were seen in both arms, {TOLERATED:.0%} are tolerated"
    elif _is(quality.orphans) and _known(quality.orphans) > TOLERATED:
        reason = f"{quality.orphans:.2%} of the observations are of units never exposed, {TOLERATED:.0%} are tolerated"
    elif quality.changed:
        reason = f"{quality.changed} is not what the experiment began with"
    return Decision(Action.INVALID, reason) if reason else None


def _rollback(now: Sequence[Comparison]) -> Decision | None:
    for found in now:
        harm = abs(found.difference) if found.difference is not None else 0.0
        if found.role != "secondary" and found.worse and harm >= found.min_effect:
            least = _size(found, found.min_effect)
            return Decision(Action.ROLLBACK, f"{_told(found)}; harm from {least} on rolls back", 0.0, found.variant)
    return None


def _too_early(
    days: float | None, units: Sequence[int] | None, conversions: int | None, limits: Limits
) -> Decision | None:
    spent = _known(days)
    if not _is(days) or spent < limits.min_days:
        said, left = (
            f"{_count(days)} of at least {limits.min_days:g} days",
            limits.min_days - spent if _is(days) else None,
        )
    elif not units or min(units) < limits.min_units:
        fewest = min(units) if units else None
        said, left = (
            f"{_count(fewest)} of at least {limits.min_units} units in an arm",
            _until(spent, fewest, limits.min_units),
        )
    elif limits.min_conversions and (conversions is None or conversions < limits.min_conversions):
        least = limits.min_conversions
        said, left = (
            f"{_count(conversions)} of at least {least} conversions in one arm",
            _until(spent, conversions, least),
        )
    else:
        return None
    return Decision(Action.KEEP_RUNNING, said, left)


def _ship(
    deciding: Sequence[Metric],
    quality: Quality,
    now: Sequence[Comparison],
    closed: Sequence[Comparison],
    limits: Limits,
) -> Decision | None:
    if _unknown(quality) or not deciding:
        return None
    if limits.goal == "superiority" and all(metric.role != "primary" for metric in deciding):
        return None
    variants = dict.fromkeys(found.variant for found in closed)
    good = [
        variant
        for variant in variants
        if all(_passes(metric, variant, closed, limits.goal) and _seen(metric, variant, now) for metric in deciding)
    ]
    if not good:
        return None
    leading = min(deciding, key=lambda metric: metric.role != "primary")
    best = max(good, key=lambda variant: _benefit(leading, variant, closed))
    told = "; ".join(_told(found) for metric in deciding for found in _of(metric, best, closed))
    return Decision(Action.SHIP, told, 0.0, best)


def _passes(metric: Metric, variant: str, closed: Sequence[Comparison], goal: Goal) -> bool:
    wanted = "better" if metric.role == "primary" and goal == "superiority" else "not_worse"
    found = _of(metric, variant, closed)
    return bool(found) and all(getattr(one, wanted) for one in found)


def _seen(metric: Metric, variant: str, now: Sequence[Comparison]) -> bool:
    """Without the open windows harm would go unseen."""
    found = _of(metric, variant, now)
    return bool(found) and all(not one.reason for one in found)


def _benefit(metric: Metric, variant: str, closed: Sequence[Comparison]) -> float:
    return max(metric.direction * (one.difference or 0.0) for one in _of(metric, variant, closed))


def _keep_running(
    deciding: Sequence[Metric],
    quality: Quality,
    now: Sequence[Comparison],
    closed: Sequence[Comparison],
    days: float,
    limits: Limits,
) -> Decision | None:
    if days >= limits.max_days:
        return None
    most = limits.max_days - days
    missing = _unknown(quality) or _missing(deciding, now, closed)
    if missing:
        return Decision(Action.KEEP_RUNNING, f"not known: {missing}")
    widths = [
        (_half(found) / _target(metric, found, limits), metric, found)
        for metric in _leading(deciding)
        for found in closed
        if found.metric == metric.name
    ]
    ratio, metric, found = max(widths, key=lambda one: one[0], default=(0.0, None, None))
    if metric is None or found is None or ratio <= 1:
        return None
    half, target = _size(found, _half(found)), _size(found, _target(metric, found, limits))
    left = days * (ratio**2 - 1)
    said = f"{found.metric} of {found.variant} is known to ±{half} and {target} is wanted: about {left:.0f} days more"
    return Decision(Action.KEEP_RUNNING, said + (f", {most:.0f} are left" if left > most else ""), left)


def _leading(deciding: Sequence[Metric]) -> list[Metric]:
    """The primaries; an experiment of guardrails only waits for these."""
    return [metric for metric in deciding if metric.role == "primary"] or list(deciding)


def _missing(deciding: Sequence[Metric], now: Sequence[Comparison], closed: Sequence[Comparison]) -> str:
    """What has no number, and why; or nothing."""
    lacking = [
        (metric.name, next((one.reason for one in found if one.reason), "no_data"))
        for metric in deciding
        for read in (closed, now)
        if not (found := [one for one in read if one.metric == metric.name]) or any(one.reason for one in found)
    ]
    return ", ".join(f"{name} ({reason})" for name, reason in dict.fromkeys(lacking)) or (
        "" if deciding else "a metric"
    )


def _half(found: Comparison) -> float:
    if found.bound_low is None or found.bound_high is None:
        return math.inf
    return (found.bound_high - found.bound_low) / 2


def _target(metric: Metric, found: Comparison, limits: Limits) -> float:
    """In the metric's scale. A guardrail that leads is to be known as well as its margin."""
    if metric.target is not None:
        return metric.target
    if metric.role == "guardrail":
        return metric.margin
    return limits.target if metric.relative else limits.target * abs(found.control or 0.0) or metric.margin


def _undecided(closed: Sequence[Comparison], days: float) -> str:
    told = "; ".join(_told(found) for found in closed if found.role != "secondary")
    return f"after {days:g} days nothing is shown, control stays: {told or 'no comparison'}"


def _unknown(quality: Quality) -> str:
    """What could invalidate and was not looked at."""
    numbers = {
        "sample ratio": quality.srm_p,
        "users in both arms": quality.crossover,
        "observations without exposure": quality.orphans,
    }
    lacking = [name for name, number in numbers.items() if not _is(number)]
    return ", ".join([*lacking, *(["collections and models"] if quality.changed is None else [])])


def _of(metric: Metric, variant: str, read: Sequence[Comparison]) -> list[Comparison]:
    return [one for one in read if (one.metric, one.variant) == (metric.name, variant)]


def _told(found: Comparison) -> str:
    if found.difference is None or found.bound_low is None or found.bound_high is None:
        return f"{found.metric} of {found.variant} is unclear ({found.reason})"
    effect, low, high = (_signed(found, number) for number in (found.difference, found.bound_low, found.bound_high))
    return f"{found.metric} of {found.variant} is {found.verdict.replace('_', ' ')}: {effect} [{low}, {high}]"


def _signed(found: Comparison, number: float) -> str:
    return f"{number:+.2%}" if found.scale == "relative" else f"{number:+.4g}"


def _size(found: Comparison, number: float) -> str:
    return f"{number:.2%}" if found.scale == "relative" else f"{number:.4g}"


def _is(number: float | None) -> bool:
    return number is not None and math.isfinite(number)


def _known(number: float | None) -> float:
    return number if number is not None and math.isfinite(number) else 0.0


def _count(number: float | None) -> str:
    return "an unknown number" if number is None else f"{number:g}"


def _until(days: float, have: int | None, want: int) -> float | None:
    """Days more at the pace so far."""
    return days * (want / have - 1) if have else None
