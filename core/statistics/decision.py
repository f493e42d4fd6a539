"""What to do now (section 7): the first rule that applies.

Rule: what is not known never ships. Missing evidence keeps the experiment running until its time is
over; then the control stays, because finding nothing is no reason to ship.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics import balance, spans
from qdrant_rollouts.core.statistics.comparison import Comparison, Goal
from qdrant_rollouts.core.statistics.metric import Metric

#: A larger share of units in both arms, or of observations without exposure, makes the experiment
#: invalid.
TOLERATED = 0.01

Comparisons = Sequence[Comparison]


class Action(StrEnum):
    INVALID = "INVALID"
    ROLLBACK = "ROLLBACK"
    KEEP_RUNNING = "KEEP_RUNNING"
    SHIP = "SHIP"
    STOP_INCONCLUSIVE = "STOP_INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Quality:
    """``srm_p``: the smallest over all looks of ``srm_sequential``. ``crossover``: the share of
    units seen in both arms. ``orphans``: the share of observations without exposure. ``changed``
    names the collection or model stamp that is no longer the frozen one; empty if nothing changed.
    None, or a number that is not finite, means not known."""

    srm_p: float | None
    crossover: float | None
    orphans: float | None
    changed: str | None

    def unknown(self) -> list[str]:
        """Checks of validity that were not made."""
        looked_at = {
            "sample ratio": _finite_or_none(self.srm_p),
            "units in both arms": _finite_or_none(self.crossover),
            "observations without exposure": _finite_or_none(self.orphans),
            "collections and models": self.changed,
        }
        return [name for name, found in looked_at.items() if found is None]


@dataclass(frozen=True, slots=True)
class Limits:
    """``min_units`` of each arm; ``min_conversions`` in at least one arm, 0 if nothing converts.
    ``target`` is the effect to find as a share of the control's value, for primaries without their
    own. Raises Refused for invalid values."""

    goal: Goal = "superiority"
    min_days: float = 3
    max_days: float = 28
    min_units: int = 100
    min_conversions: int = 150
    target: float = 0.10

    def __post_init__(self) -> None:
        if not 0 <= self.min_days <= self.max_days < math.inf:
            raise Refused(
                f"{self.min_days} to {self.max_days} days: the most may not be below the least, "
                "nor either below 0"
            )
        if self.min_units < 0 or self.min_conversions < 0 or not 0 < self.target < math.inf:
            raise Refused(
                f"min_units {self.min_units}, min_conversions {self.min_conversions}, target "
                f"{self.target}: "
                "the first two are 0 or more, the target is above 0"
            )


@dataclass(frozen=True, slots=True)
class Decision:
    """``variant`` is the treatment to ship, or the one that causes harm. ``days_left``: for
    KEEP_RUNNING, if known."""

    action: Action
    reason: str
    days_left: float | None = None
    variant: str | None = None


def decide(
    *,
    metrics: Sequence[Metric],
    quality: Quality,
    now: Comparisons,
    closed: Comparisons,
    days: float | None,
    units: Sequence[int] | None,
    conversions: int | None,
    limits: Limits,
) -> Decision:
    """``metrics`` are all of the experiment's; one without a comparison is missing evidence.
    ``now`` has one comparison per metric and treatment, including open windows; ``closed`` the same
    for closed windows only. ``days`` since the start, ``units`` of each arm, ``conversions`` of the
    arm with the most. None means not known."""
    deciding = [metric for metric in metrics if metric.role != "secondary"]
    days = _finite_or_none(days)
    missing = [*quality.unknown(), *_list_missing(deciding, now, closed)]
    return (
        _decide_invalid(quality, units)
        or _decide_rollback(now)
        or _decide_too_early(days, units, conversions, limits)
        or (None if quality.unknown() else _decide_ship(deciding, now, closed, limits.goal))
        or _decide_keep_running(
            _find_widest(deciding, closed, limits), missing, days or 0.0, limits
        )
        or Decision(
            Action.STOP_INCONCLUSIVE,
            f"control stays after {spans.format_days(days or 0.0)}: "
            f"{_describe_comparisons(closed)}",
        )
    )


def _decide_invalid(quality: Quality, units: Sequence[int] | None) -> Decision | None:
    srm_p = _finite_or_none(quality.srm_p)
    crossover = _finite_or_none(quality.crossover)
    orphans = _finite_or_none(quality.orphans)
    reason = ""
    if srm_p is not None and balance.is_mismatched(
        srm_p, balance.LEAST_UNITS if units is None else sum(units)
    ):
        seen = ""
        if units:
            seen = f", {' / '.join(map(str, units))} units,"
        reason = (
            f"the arms{seen} have not the shares they should have: p {srm_p:.2g} is below "
            f"{balance.ALPHA}"
        )
    elif crossover is not None and crossover > TOLERATED:
        reason = (
            f"{crossover:.2%} of the units were seen in both arms, {TOLERATED:.0%} are tolerated"
        )
    elif orphans is not None and orphans > TOLERATED:
        reason = (
            f"{orphans:.2%} of the observations are of units never exposed, {TOLERATED:.0%} are "
            "tolerated"
        )
    elif quality.changed:
        reason = f"{quality.changed} is not what the experiment began with"
    if not reason:
        return None
    return Decision(Action.INVALID, reason)


def _decide_rollback(now: Comparisons) -> Decision | None:
    for found in now:
        harmful = (
            found.worse
            and found.difference is not None
            and abs(found.difference) >= found.min_effect
        )
        if harmful and found.role != "secondary":
            reason = (
                f"{_describe_comparison(found)}; harm of {_format_size(found, found.min_effect)} "
                "or more rolls back"
            )
            return Decision(Action.ROLLBACK, reason, variant=found.variant)
    return None


def _decide_too_early(
    days: float | None, units: Sequence[int] | None, conversions: int | None, limits: Limits
) -> Decision | None:
    if days is None or days < limits.min_days:
        left = None
        if days is not None:
            left = limits.min_days - days
        so_far = "an unknown time"
        if days is not None:
            so_far = spans.format_days(days)
        return Decision(
            Action.KEEP_RUNNING,
            f"{so_far} of at least {spans.format_whole_days(limits.min_days)}",
            left,
        )
    for found, least, what in (
        (min(units) if units else None, limits.min_units, "units in each arm"),
        (conversions, limits.min_conversions, "conversions in one arm"),
    ):
        if least and (found is None or found < least):
            left = None
            if found:
                left = days * (least / found - 1)
            return Decision(
                Action.KEEP_RUNNING, f"{_format_count(found)} of at least {least} {what}", left
            )
    return None


def _decide_ship(
    deciding: Sequence[Metric], now: Comparisons, closed: Comparisons, goal: Goal
) -> Decision | None:
    """Ships a treatment that passes. If several pass, it is the one that does best on the first
    primary."""
    primaries = [metric for metric in deciding if metric.role == "primary"]
    if not deciding or (goal == "superiority" and not primaries):
        return None
    variants = dict.fromkeys(found.variant for found in closed)
    good = [
        variant
        for variant in variants
        if all(
            _has_passed(metric, variant, closed, goal) and _is_measured_now(metric, variant, now)
            for metric in deciding
        )
    ]
    if not good:
        return None
    best = max(good, key=lambda variant: _best_benefit([*primaries, *deciding][0], variant, closed))
    return Decision(
        Action.SHIP,
        _describe_comparisons(
            [one for metric in deciding for one in _comparisons_of(metric, best, closed)]
        ),
        None,
        best,
    )


def _has_passed(metric: Metric, variant: str, closed: Comparisons, goal: Goal) -> bool:
    superior = _is_superior(metric, goal)
    found = _comparisons_of(metric, variant, closed)
    return bool(found) and all(
        not one.reason and (one.better if superior else one.not_worse) for one in found
    )


def _is_measured_now(metric: Metric, variant: str, now: Comparisons) -> bool:
    """Without the open windows harm would go unnoticed."""
    found = _comparisons_of(metric, variant, now)
    return bool(found) and all(not one.reason for one in found)


def _best_benefit(metric: Metric, variant: str, closed: Comparisons) -> float:
    return max(
        metric.direction * (one.difference or 0.0)
        for one in _comparisons_of(metric, variant, closed)
    )


def _decide_keep_running(
    widest: tuple[float, str] | None, missing: Sequence[str], days: float, limits: Limits
) -> Decision | None:
    if days >= limits.max_days:
        return None
    if missing:
        return Decision(Action.KEEP_RUNNING, f"not known yet: {', '.join(dict.fromkeys(missing))}")
    if widest is None or widest[0] <= 1:
        return None
    (ratio, words), most = widest, limits.max_days - days
    left = days * (ratio**2 - 1)
    late = ""
    if left > most:
        late = f", of which the experiment has {spans.format_days(most)}"
    return Decision(
        Action.KEEP_RUNNING, f"{words}: about {spans.format_days(left)} more{late}", left
    )


def _find_widest(
    deciding: Sequence[Metric], closed: Comparisons, limits: Limits
) -> tuple[float, str] | None:
    """How many times wider than wanted the widest half-interval is, among metrics that do not show
    yet what shipping needs; so the time that would show it is not cut short."""
    return max(
        (found for metric in deciding for found in _list_widths(metric, closed, limits)),
        default=None,
    )


def _list_widths(
    metric: Metric, closed: Comparisons, limits: Limits
) -> Iterator[tuple[float, str]]:
    superior = _is_superior(metric, limits.goal)
    for found in closed:
        shown = found.not_worse
        if superior:
            shown = found.better
        if (
            found.metric != metric.name
            or shown
            or found.bound_low is None
            or found.bound_high is None
        ):
            continue
        half = (found.bound_high - found.bound_low) / 2
        target = _target_width(metric, found, limits)
        known = _format_size(found, half)
        wanted = _format_size(found, target)
        words = f"{metric.name} of {found.variant} is known to ±{known}, {wanted} is wanted"
        yield half / target, words


def _target_width(metric: Metric, found: Comparison, limits: Limits) -> float:
    """In the metric's scale. A metric that must stay within its margin is wanted to half of it: an
    interval as wide as the margin shows that of two equal arms only half of the time."""
    if not _is_superior(metric, limits.goal):
        return metric.margin / 2
    if metric.target is not None:
        return metric.target
    if metric.relative:
        return limits.target
    return limits.target * abs(found.control or 0.0) or metric.margin


def _is_superior(metric: Metric, goal: Goal) -> bool:
    """Whether it must be better to ship; otherwise it must not be worse."""
    return metric.role == "primary" and goal == "superiority"


def _list_missing(deciding: Sequence[Metric], now: Comparisons, closed: Comparisons) -> list[str]:
    """Returns the metrics that have no number, and why."""
    lacking = [
        f"{metric.name} ({next((one.reason for one in found if one.reason), 'no_data')})"
        for metric in deciding
        for read in (closed, now)
        if not (found := [one for one in read if one.metric == metric.name])
        or any(one.reason for one in found)
    ]
    if deciding:
        return lacking
    return ["a metric that decides"]


def _comparisons_of(metric: Metric, variant: str, read: Comparisons) -> list[Comparison]:
    return [one for one in read if (one.metric, one.variant) == (metric.name, variant)]


def _describe_comparisons(read: Comparisons) -> str:
    return (
        "; ".join(_describe_comparison(found) for found in read if found.role != "secondary")
        or "nothing was compared"
    )


def _describe_comparison(found: Comparison) -> str:
    if found.difference is None or found.bound_low is None or found.bound_high is None:
        return f"{found.metric} of {found.variant} is unclear ({found.reason})"
    effect, low, high = (
        _format_size(found, number, "+")
        for number in (found.difference, found.bound_low, found.bound_high)
    )
    return (
        f"{found.metric} of {found.variant} is {found.verdict.replace('_', ' ')}: {effect} [{low}, "
        f"{high}]"
    )


def _format_size(found: Comparison, number: float, sign: str = "") -> str:
    if found.unit == "log_ms":
        number = math.expm1(number)
    if found.scale == "relative" or found.unit == "log_ms":
        return f"{number:{sign}.2%}"
    factor, unit, form = _UNITS.get(found.unit, (1.0, "", ".4g"))
    return f"{number * factor:{sign}{form}}{unit}"


#: How a difference in each unit is written: its factor, the word for the unit, and the digits.
_UNITS = {"seconds": (1000.0, " ms", ",.2f"), "share": (100.0, " points", ".2f")}


def _finite_or_none(number: float | None) -> float | None:
    if number is not None and math.isfinite(number):
        return number
    return None


def _format_count(number: float | None) -> str:
    if number is None:
        return "an unknown number"
    return f"{number:g}"
