"""Is the canary healthy? The rules of section 9; ``canary_breakers`` needs no statistics.

Rule: without data a canary is never healthy. A canary is healthy if it is shown not to be worse
than blue by more than a margin; it is unhealthy if its harm is certain and larger than the margin;
otherwise the answer is not known yet.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from qdrant_rollouts.core.config.index_file import CanarySpec
from qdrant_rollouts.core.statistics import moments, sequence
from qdrant_rollouts.core.statistics.assignment import BASIS
from qdrant_rollouts.core.statistics.moments import Estimate, Unclear
from qdrant_rollouts.core.statistics.reasons import explain_reason
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

#: Basis points: above one half there is no control as large as the canary.
HALF = BASIS // 2

Verdict = Literal["worse", "not_worse", "unclear"]
Stages = Sequence[tuple[TrafficSketch, TrafficSketch]]

#: The greatest chance that a canary that is worse by the margin is ever found not worse, per metric
#: and over all looks.
_ALPHA = 0.05
#: The same chance that a canary as good as blue is ever found worse.
_ALPHA_WORSE = 0.01
#: The number of searches at which the intervals are narrowest: see ``core.statistics.sequence``.
_N_STAR = 20_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Green compared with blue: ``effect`` is the harm; its bounds are valid at every look. None if
    there is no number, and ``reason`` says why."""

    metric: str
    control: float | None
    canary: float | None
    effect: float | None
    low: float | None
    high: float | None
    margin: float
    n: int
    verdict: Verdict
    harmful: bool
    reason: str
    words: str


@dataclass(frozen=True, slots=True)
class Judgment:
    """``missing``: how many more searches of the canary the verdict needs, as far as this is
    known."""

    verdict: Literal["healthy", "unhealthy", "unknown"]
    comparisons: tuple[Comparison, ...]
    missing: int
    words: str


@dataclass(frozen=True, slots=True)
class _Metric:
    """``unit``: what a hundredth of the effect is called."""

    name: str
    unit: str
    margin: Callable[[CanarySpec], float]
    estimate: Callable[[TrafficSketch, CanarySpec], Estimate]
    effect: Callable[[Estimate, Estimate], Estimate]
    shown: Callable[[float], str]
    harm: Callable[[float], str]


def _format_percent(share: float) -> str:
    return f"{share:.2%}"


_METRICS = (
    _Metric(
        "p95",
        unit="%",
        margin=lambda spec: spec.margins.p95,
        estimate=lambda tally, spec: moments.latency_quantile(tally, 0.95, spec.min_users),
        effect=moments.relative_difference,
        shown=lambda seconds: f"{seconds * 1000:.1f} ms",
        harm=lambda effect: f"{effect:+.0%}",
    ),
    _Metric(
        "error rate",
        unit="points",
        margin=lambda spec: spec.margins.error_rate,
        estimate=lambda tally, spec: moments.error_rate(tally, spec.min_users),
        effect=moments.difference,
        shown=_format_percent,
        harm=lambda effect: f"{effect * 100:+.2f} points",
    ),
)
#: The unit of a metric's effect, by the metric's name.
EFFECT_UNITS = {metric.name: metric.unit for metric in _METRICS}


def judge_canary(stages: Stages, spec: CanarySpec, share: int = HALF) -> Judgment:
    """``stages``: the control's and the canary's searches of each stage, both from the same time. A
    stage without a control (above one half) says nothing here. ``share`` is the canary's current
    share in basis points: see ``margin_scale``."""
    compared = tuple(
        _compare_metric(metric, stages, spec, margin_scale(share)) for metric in _METRICS
    )
    canary = sum(green.calls for _, green in stages)
    harmful = [found for found in compared if found.harmful]
    if harmful:
        return Judgment("unhealthy", compared, 0, "; ".join(found.words for found in harmful))
    short = max(spec.min_searches - canary, 0)
    if not short and all(found.verdict == "not_worse" for found in compared):
        return Judgment("healthy", compared, 0, "; ".join(found.words for found in compared))
    missing = max([short, *(_count_missing_searches(found, canary) for found in compared)])
    said = (
        "; ".join(found.words for found in compared if found.verdict != "not_worse")
        or f"{canary} searches"
    )
    return Judgment(
        "unknown", compared, missing, said + (f"; about {missing} more searches" if missing else "")
    )


def margin_scale(share: int) -> float:
    """Returns by how much the margins are widened for a canary of this share.

    Harm that is not ruled out yet can reach only the canary's users: a twentieth of all users needs
    less certainty than half of them. Widths fall with the root of the sample, so this asks of each
    stage about as much as its traffic can tell.
    """
    return math.sqrt(HALF / min(max(share, 1), HALF))


def _compare_metric(
    metric: _Metric, stages: Stages, spec: CanarySpec, widened: float
) -> Comparison:
    """Compares within each stage, then over the stages, so a drift of traffic between stages is not
    a difference."""
    pairs = [(metric.estimate(blue, spec), metric.estimate(green, spec)) for blue, green in stages]
    effects = [
        (float(green.calls), metric.effect(*pair))
        for (_, green), pair in zip(stages, pairs, strict=True)
    ]
    found = moments.stratified_effect(effects)
    control = _newest_estimate(pairs, 0)
    canary = _newest_estimate(pairs, 1)
    n = sum(blue.calls + green.calls for blue, green in stages)
    margin = metric.margin(spec) * widened
    if isinstance(found, Unclear):
        words = f"{metric.name}: {explain_reason(found.reason, 'blue')}"
        return Comparison(
            metric.name,
            control,
            canary,
            None,
            None,
            None,
            margin,
            n,
            "unclear",
            False,
            found.reason,
            words,
        )
    return _judge_effect(metric, control, canary, found, margin, n, spec)


def _judge_effect(
    metric: _Metric,
    control: float | None,
    canary: float | None,
    found: moments.Moments,
    margin: float,
    n: int,
    spec: CanarySpec,
) -> Comparison:
    error = math.sqrt(found.variance)
    low = found.estimate - sequence.half_one_sided(error, n, _N_STAR, _ALPHA_WORSE)
    high = found.estimate + sequence.half_one_sided(error, n, _N_STAR, _ALPHA)
    harmful = low > 0 and found.estimate >= metric.margin(spec)
    verdict: Verdict = "unclear"
    if low > 0:
        verdict = "worse"
    if high < margin:
        verdict = "not_worse"
    words = (
        f"{metric.name} {metric.shown(canary or 0.0)}, blue {metric.shown(control or 0.0)}: "
        f"{metric.harm(found.estimate)} [{metric.harm(low)}, {metric.harm(high)}], "
        f"{metric.harm(margin)} tolerated, n {n}"
    )
    return Comparison(
        metric.name,
        control,
        canary,
        found.estimate,
        low,
        high,
        margin,
        n,
        verdict,
        harmful,
        "",
        words,
    )


def _newest_estimate(pairs: Sequence[tuple[Estimate, Estimate]], arm: int) -> float | None:
    """Returns what the newest stage with a number shows; the effect is over all of them."""
    found = [pair[arm] for pair in pairs]
    return next((one.estimate for one in reversed(found) if not isinstance(one, Unclear)), None)


def _count_missing_searches(found: Comparison, canary: int) -> int:
    """Returns the searches until the upper bound would fall below the margin if the estimate
    stayed: the width falls as 1/sqrt(n)."""
    if found.effect is None or found.high is None or found.verdict == "not_worse":
        return 0
    room = found.margin - found.effect
    if room <= 0:
        return 0
    return math.ceil(canary * (((found.high - found.effect) / room) ** 2 - 1))
