"""What a stage of a canary has shown so far: the figures of its traffic, and the judgment of
them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.config.index_file import CanarySpec, Stage
from qdrant_rollouts.core.deployments.canary_breakers import (
    Look,
    find_tripped_breaker,
    measure_error_rate,
)
from qdrant_rollouts.core.deployments.canary_judgment import Judgment, judge_canary
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.ports import State
from qdrant_rollouts.core.routing import traffic
from qdrant_rollouts.core.routing.route import CANARY, CONTROL, LIVE
from qdrant_rollouts.core.routing.traffic import TrafficKey
from qdrant_rollouts.core.statistics.assignment import share_of
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

Tallies = Mapping[TrafficKey, TrafficSketch]


@dataclass(frozen=True, slots=True)
class StageObservation:
    """``harm`` and ``missing`` are sentences, or empty. ``windows``: green's seconds and searches
    and then blue's at each look, summed since the stage began."""

    harm: str
    missing: str
    words: str
    figures: State
    judgment: Judgment
    windows: list[list[float]]
    #: Searches that green has answered in this stage.
    searches: int


def stage_name(context: StepContext) -> str:
    """Returns the name under which the observations of a step are recorded."""
    return f"{context.deployment.id}/{context.position}"


def observe_stage(
    context: StepContext, stage: Stage, before: Sequence[Sequence[float]]
) -> StageObservation:
    """Judges the stage. ``before``: the windows of earlier looks."""
    spec = context.deployment.spec.canary
    alias = context.deployment.alias
    with context.services.sessions() as session:
        stages = traffic.read_tallies_by_stage(session, alias, f"{context.deployment.id}/")
    own = stages.get(stage_name(context), {})
    green = sum_tallies(own, CANARY, "shadow" if stage.shadow else "real")
    blue = sum_blue_searches(own)
    window = [green.seconds, green.calls, blue.seconds, blue.calls]
    windows = [*map(list, before), window][-spec.breakers.looks - 1 :]
    judgment = judge_canary(_pairs_by_stage(stages), spec, share_of(stage.percentage))
    return StageObservation(
        harm=_describe_harm(stages, own, green, windows, judgment, spec),
        missing=_describe_missing(stage, spec, own, green, judgment),
        words=_describe_stage(green, judgment, stage),
        figures=describe_traffic(own),
        judgment=judgment,
        windows=windows,
        searches=green.calls,
    )


def sum_tallies(tallies: Tallies, variant: str, kind: str) -> TrafficSketch:
    found = TrafficSketch()
    for key, tally in tallies.items():
        if (key.variant, key.kind) == (variant, kind):
            found.merge(tally)
    return found


def sum_blue_searches(tallies: Tallies) -> TrafficSketch:
    """Returns what all users whom blue answered have experienced: those of the control, and all
    others."""
    found = sum_tallies(tallies, LIVE, "real")
    found.merge(sum_tallies(tallies, CONTROL, "real"))
    return found


def describe_traffic(tallies: Tallies) -> dict[str, Any]:
    """Returns what each variant and kind of search experienced, for people: milliseconds and
    shares."""
    names = sorted({(key.variant, key.kind) for key in tallies})
    return {
        f"{variant} {kind}": describe_tally(sum_tallies(tallies, variant, kind))
        for variant, kind in names
    }


def diff_windows(windows: Sequence[Sequence[float]]) -> list[Look]:
    """Returns the differences between consecutive looks, from the sums at each look. The release
    before wrote no sums of blue."""
    looks = []
    before = Look(0.0, 0)
    for window in windows:
        now = Look(*window)
        looks.append(
            Look(
                now.seconds - before.seconds,
                now.searches - before.searches,
                now.blue_seconds - before.blue_seconds,
                now.blue_searches - before.blue_searches,
            )
        )
        before = now
    return looks


def _pairs_by_stage(stages: Mapping[str, Tallies]) -> list[tuple[TrafficSketch, TrafficSketch]]:
    return [
        (
            sum_tallies(stages[name], CONTROL, "real"),
            sum_tallies(stages[name], CANARY, "real"),
        )
        for name in _sort_stages(stages)
    ]


def _sort_stages(stages: Mapping[str, Tallies]) -> list[str]:
    return sorted(stages, key=lambda name: int(name.rsplit("/", 1)[1]))


def _find_blue_so_far(stages: Mapping[str, Tallies], enough: int) -> float | None:
    """Returns blue's mean latency in seconds, in the newest stage in which it answered ``enough``
    searches, or any."""
    newest = [sum_blue_searches(stages[name]) for name in reversed(_sort_stages(stages))]
    answered = [blue for blue in newest if blue.calls >= enough] or newest
    return next((blue.mean for blue in answered if blue.calls), None)


def _describe_harm(
    stages: Mapping[str, Tallies],
    own: Tallies,
    green: TrafficSketch,
    windows: list[list[float]],
    judgment: Judgment,
    spec: CanarySpec,
) -> str:
    limits = spec.breakers
    recent = diff_windows(windows)
    if len(windows) > limits.looks:
        # The list is full: its first entry has the sum of all looks before it.
        recent = recent[1:]
    failing = measure_error_rate(sum_blue_searches(own), limits)
    probes = sum_tallies(own, CANARY, "synthetic")
    return (
        find_tripped_breaker(
            green, recent, limits, _find_blue_so_far(stages, limits.calls), failing
        )
        or find_tripped_breaker(probes, [], limits, blue_errors=failing)
        or (judgment.words if judgment.verdict == "unhealthy" else "")
    )


def _describe_missing(
    stage: Stage, spec: CanarySpec, own: Tallies, green: TrafficSketch, judgment: Judgment
) -> str:
    """Describes which evidence is missing. A stage without a duration only waits for the verdict on
    the stages before it."""
    short = spec.min_searches - green.calls
    if stage.duration_minutes and short > 0:
        return (
            f"{green.calls} searches of the {spec.min_searches} it needs, {short} are "
            f"missing{_describe_bypassed(own)}"
        )
    if stage.shadow or judgment.passes:
        return ""
    return judgment.words


def _describe_bypassed(own: Tallies) -> str:
    found = sum_tallies(own, LIVE, "bypassed").calls
    if not found:
        return ""
    return (
        f"; {found} searches came as vectors of blue's model, which green does not understand: "
        "search in words"
    )


def _describe_stage(green: TrafficSketch, judgment: Judgment, stage: Stage) -> str:
    if not stage.shadow:
        return f"{green.calls} searches of green; {judgment.words}"
    if not green.pairs:
        return "no search compared yet"
    return f"{green.pairs} searches compared, overlap {green.overlap / green.pairs:.2f}"


def describe_tally(tally: TrafficSketch) -> dict[str, Any]:
    return {
        "searches": tally.calls,
        "user_groups": tally.units,
        "anonymous": tally.anonymous,
        "errors": tally.errors,
        "fallbacks": tally.fallbacks,
        "error_rate": tally.error_rate,
        "zero_result_rate": tally.zero_rate,
        **{f"p{level}_ms": _as_milliseconds(tally.quantile(level / 100)) for level in (50, 95, 99)},
        "embedding_ms": _as_milliseconds(tally.mean_embedding),
        **(_figures_of_pairs(tally) if tally.pairs else {}),
    }


def _as_milliseconds(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    return round(seconds * 1000, 2)


def _figures_of_pairs(tally: TrafficSketch) -> dict[str, float]:
    return {"pairs": tally.pairs, "overlap": tally.overlap / tally.pairs}
