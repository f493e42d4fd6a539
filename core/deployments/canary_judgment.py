"""Is the canary healthy? The rules of section 9; ``canary_breakers`` needs no statistics.

Rule: without data a canary is never healthy. A canary is healthy if it is shown not to be worse
than blue by more than a margin; it is unhealthy if its harm is certain and larger than the margin.
Between the two, no harm is seen if great harm is excluded (``canary.exclude``); otherwise the
answer is not known yet.
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
#: In multiples of ``min_searches``: from how many searches of both arms on something is excluded.
_EXCLUDING_START = 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """Green compared with blue: ``effect`` is the harm; its bounds are valid at every look. None if
    there is no number, and ``reason`` says why. Harm above ``excluded`` is excluded: a bound like
    ``high``, but narrowest where a stage has just its minimum of searches, and None before;
    ``bound`` says it in words. ``exclude``: which harm must be excluded for a stage to pass without
    a proof; None if only a proof counts."""

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
    excluded: float | None = None
    exclude: float | None = None
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Judgment:
    """``missing``: how many more searches of the canary the verdict needs, as far as this is
    known. ``no_harm``: neither healthy nor unhealthy, and great harm is excluded."""

    verdict: Literal["healthy", "no_harm", "unhealthy", "unknown"]
    comparisons: tuple[Comparison, ...]
    missing: int
    words: str

    @property
    def passes(self) -> bool:
        return self.verdict in ("healthy", "no_harm")


@dataclass(frozen=True, slots=True)
class _Metric:
    """``unit``: what a hundredth of the effect is called. ``kind``: what is worse, in a
    sentence."""

    name: str
    kind: str
    unit: str
    margin: Callable[[CanarySpec], float]
    exclude: Callable[[CanarySpec], float]
    estimate: Callable[[TrafficSketch, CanarySpec], Estimate]
    effect: Callable[[Estimate, Estimate], Estimate]
    shown: Callable[[float], str]
    harm: Callable[[float], str]
    bound: Callable[[float], str]

    def describe_bound(self, harm: float | None) -> str:
        if harm is None:
            return ""
        return f"{self.kind} by more than {self.bound(harm)}"


def _format_percent(share: float) -> str:
    return f"{share:.2%}"


def _round_up(harm: float, hundredths: int) -> float:
    """Returns a bound of harm in hundredths, never below what is known: its last digit is one of so
    many of a hundredth."""
    return math.ceil(max(harm, 0.0) * 100 * hundredths - 1e-6) / hundredths


_METRICS = (
    _Metric(
        "p95",
        kind="p95 worse",
        unit="%",
        margin=lambda spec: spec.margins.p95,
        exclude=lambda spec: spec.exclude.p95,
        estimate=lambda tally, spec: moments.latency_quantile(tally, 0.95, spec.min_users),
        effect=moments.relative_difference,
        shown=lambda seconds: f"{seconds * 1000:.1f} ms",
        harm=lambda effect: f"{effect:+.0%}",
        bound=lambda harm: f"{_round_up(harm, 1):.0f} %",
    ),
    _Metric(
        "error rate",
        kind="errors",
        unit="points",
        margin=lambda spec: spec.margins.error_rate,
        exclude=lambda spec: spec.exclude.error_rate,
        estimate=lambda tally, spec: moments.error_rate(tally, spec.min_users),
        effect=moments.difference,
        shown=_format_percent,
        harm=lambda effect: f"{effect * 100:+.2f} points",
        bound=lambda harm: f"{_round_up(harm, 10):.1f} points",
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
    unsettled = [found for found in compared if not _is_settled(found)]
    if not short and not unsettled:
        return Judgment("no_harm", compared, 0, _describe_excluded(compared))
    missing = max([short, *(_count_missing_searches(found, canary) for found in unsettled)])
    said = "; ".join(_describe_unsettled(found) for found in unsettled) or f"{canary} searches"
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
            None,
            _find_exclude(metric, spec),
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
    excluded = None
    if n >= _EXCLUDING_START * spec.min_searches:
        start = _EXCLUDING_START * spec.min_searches
        excluded = found.estimate + sequence.half_from_start(error, n, start, _ALPHA)
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
        excluded,
        _find_exclude(metric, spec),
        metric.describe_bound(excluded),
    )


def _newest_estimate(pairs: Sequence[tuple[Estimate, Estimate]], arm: int) -> float | None:
    """Returns what the newest stage with a number shows; the effect is over all of them."""
    found = [pair[arm] for pair in pairs]
    return next((one.estimate for one in reversed(found) if not isinstance(one, Unclear)), None)


def _find_exclude(metric: _Metric, spec: CanarySpec) -> float | None:
    if spec.undecided == "pause":
        return None
    return metric.exclude(spec)


def _is_settled(found: Comparison) -> bool:
    """Whether this metric does not keep a stage from passing. A metric without a number does."""
    if found.verdict == "not_worse":
        return True
    if found.exclude is None or found.excluded is None:
        return False
    return found.excluded <= found.exclude


def _describe_excluded(compared: Sequence[Comparison]) -> str:
    seen = "no harm seen"
    if any(found.verdict == "worse" for found in compared):
        seen = "only harm below the margin seen"
    bounds = ", ".join(found.bound for found in compared)
    return f"{seen}; excluded: {bounds} ({'; '.join(found.words for found in compared)})"


def _describe_unsettled(found: Comparison) -> str:
    if found.exclude is None or not found.bound:
        return found.words
    metric = next(one for one in _METRICS if one.name == found.metric)
    return f"{found.words}; excluded: {found.bound}; {metric.bound(found.exclude)} must be"


def _count_missing_searches(found: Comparison, canary: int) -> int:
    """Returns the searches until the upper bound would fall below what must be excluded if the
    estimate stayed: the width falls as 1/sqrt(n)."""
    top = found.high
    bound = found.margin
    if found.exclude is not None:
        top = found.excluded
        bound = found.exclude
    if found.effect is None or top is None:
        return 0
    room = bound - found.effect
    if room <= 0:
        return 0
    return math.ceil(canary * (((top - found.effect) / room) ** 2 - 1))
