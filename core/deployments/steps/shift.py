"""A stage of a canary: green gets a share of the searches for a time, and what they experienced
decides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from qdrant_rollouts.core.collections import readiness
from qdrant_rollouts.core.collections.model_proof import find_unknown_vectors
from qdrant_rollouts.core.collections.readiness import Readiness
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.config.index_file import CanarySpec, IndexSpec, Stage
from qdrant_rollouts.core.database.step_data import StepOutput
from qdrant_rollouts.core.database.step_traits import traits_of
from qdrant_rollouts.core.database.stored_json import read_stored
from qdrant_rollouts.core.deployments.plan import (
    Done,
    Duration,
    Hold,
    Outcome,
    Reject,
    StepContext,
    Wait,
)
from qdrant_rollouts.core.deployments.steps import limiting, probing
from qdrant_rollouts.core.deployments.steps.data import StageProgress, StageSeen, StageState
from qdrant_rollouts.core.deployments.steps.gate import why_gate_shut
from qdrant_rollouts.core.deployments.steps.observed import (
    StageObservation,
    observe_stage,
    stage_name,
)
from qdrant_rollouts.core.ports import State
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.core.statistics.assignment import share_of

_CONFIRM_AGAIN = 1.0
#: Looks of which the effects are kept.
_KEPT_EFFECTS = 120


def shift_traffic(context: StepContext) -> Outcome:
    """One look. Safe to run twice: the route that is set already stays, and a look repeated is a
    look more.

    Looks are counted, not seconds, so no clock that jumps ends a stage early."""
    stage = read_stored(Stage, context.arguments)
    spec = context.deployment.spec.canary
    failure = _failure(context)
    barred = (
        why_gate_shut(context)
        or _why_green_unfit(context, failure)
        or limiting.apply_strict_mode(context)
    )
    if barred:
        return Reject(barred)
    route = _set_stage_route(context, stage)
    if spec.probing and route.green:
        probing.probe_green(context)
    state = context.load(StageState)
    looks = state.looks
    seen = observe_stage(context, stage, state.windows)
    confirmed = table.confirm_route(context.services, route)
    course = [*state.course, _effects_by_metric(seen)][-_KEPT_EFFECTS:]
    output = _build_output(seen, stage, str(confirmed), course)
    progress = replace(
        _progress_of_stage(stage, spec, looks, seen),
        set=stage.percentage,
        route=route.version,
        confirmed=str(confirmed),
        all=confirmed.all,
        traffic=output.traffic,
        judgment=output.judgment,
        course=course,
    )
    looked = looks + (failure is None)
    context.save(StageState(looks=looked, windows=seen.windows, course=course, progress=progress))
    decided = _decide_stage(seen, stage, spec, looks, output)
    if failure is not None and not isinstance(
        decided, Reject
    ):  # its searches are judged, and the stage does not end
        said = (
            f"{context.deployment.green}: {failure.reason}; the server is asked to try again, "
            f"{context.patience}"
        )
        return Wait(_seconds_between_looks(stage, spec), said, progress=False)
    waits_for = (
        _why_model_unknown(context)
        if isinstance(decided, Done) and _is_before_switch(context)
        else ""
    )
    return Hold(waits_for, decided.output) if isinstance(decided, Done) and waits_for else decided


def guard_shift(context: StepContext) -> Outcome:
    """A look while the deployment is paused: green keeps its share, so harm ends the canary still,
    and nothing else comes of it. Safe to run twice, as every look."""
    stage = read_stored(Stage, context.arguments)
    spec = context.deployment.spec.canary
    barred = _why_green_unfit(context, _failure(context))
    if barred:
        return Reject(barred)
    state = context.load(StageState)
    seen = observe_stage(context, stage, state.windows)
    context.save(replace(state, windows=seen.windows))
    if seen.harm:
        route = table.current_route(context.services, context.deployment.alias)
        confirmed = table.confirm_route(context.services, route)
        return Reject(seen.harm, _build_output(seen, stage, str(confirmed)))
    return Wait(spec.look_seconds, seen.words)


def shift_back(context: StepContext) -> Outcome:
    """Everybody to blue: set, read back, and waited for until every search process that lives says
    that it serves it. Only then may a collection go."""
    deployment = context.deployment
    services = context.services
    route = table.current_route(services, deployment.alias)
    if route.deployment_id == deployment.id:
        route = table.clear_route(services, deployment.alias, fence=context.turn.fence)
    confirmed = table.confirm_route(services, route)
    if not confirmed.all:
        return Wait(
            _CONFIRM_AGAIN, f"{deployment.alias} answers everybody, say {confirmed}", progress=False
        )
    return Done(StepOutput(summary=f"{deployment.alias} answers everybody, say {confirmed}"))


def estimate_stage(spec: IndexSpec, arguments: State) -> Duration:
    """Longer where traffic is missing."""
    stage = read_stored(Stage, arguments)
    seconds = stage.duration_minutes * 60
    return Duration(seconds, seconds * (1 + spec.canary.extension), "what the stage is set to")


def count_looks(stage: Stage, spec: CanarySpec) -> int:
    return math.ceil(stage.duration_minutes * 60 / spec.look_seconds)


def _progress_of_stage(
    stage: Stage, spec: CanarySpec, looks: int, seen: StageObservation
) -> StageProgress:
    """How far it is, by what it decides on: searches that green has answered. That its time is over
    says nothing."""
    wanted = count_looks(stage, spec)
    counted = [min(looks, wanted), wanted]
    if not wanted or not spec.min_searches:
        return StageProgress(done=counted[0], size=wanted, unit="looks", looks=counted)
    done = min(seen.searches, spec.min_searches)
    return StageProgress(done=done, size=spec.min_searches, unit="searches", looks=counted)


def _decide_stage(
    seen: StageObservation, stage: Stage, spec: CanarySpec, looks: int, output: StageSeen
) -> Outcome:
    """Harm ends a stage at any look, time and evidence together end it well, time without evidence
    asks a person."""
    if seen.harm:
        return Reject(seen.harm, output)
    wanted = count_looks(stage, spec)
    name = f"{_name_stage(stage)} set, confirmed by {output.confirmed}"
    if looks < wanted:
        return Wait(
            _seconds_between_looks(stage, spec),
            f"{name}: look {looks + 1} of {wanted}; {seen.words}",
        )
    if not seen.missing:
        return Done(output)
    longest = math.ceil(wanted * (1 + spec.extension))
    if looks < longest:
        return Wait(
            _seconds_between_looks(stage, spec),
            f"{name}, extended, look {looks + 1} of at most {longest}: {seen.missing}",
        )
    return Hold(f"{_name_stage(stage)}: {seen.missing}", output)


def _is_before_switch(context: StepContext) -> bool:
    """Whether everybody is on green next."""
    return any(
        traits_of(name).moves_alias for name in context.deployment.plan[context.position + 1 :][:1]
    )


def _why_model_unknown(context: StepContext) -> str:
    """What a person must know before the switch, or nothing: until then searches by vector have
    stayed on blue."""
    deployment = context.deployment
    store = context.services.store
    stamp = read_stamp(store, deployment.green)
    if deployment.spec.accept_new_model or deployment.blue is None or stamp is None:
        return ""
    made = {name: by.embedding for name, by in stamp.made.items() if by.embedding is not None}
    if not find_unknown_vectors(store, deployment.blue, made):
        return ""
    return (
        f"nobody wrote down which model made {deployment.blue}, so searches by vector stayed on "
        "it; they go to "
        f"{deployment.green} at the switch: promote when the applications that embed for "
        "themselves change with it"
    )


def _seconds_between_looks(stage: Stage, spec: CanarySpec) -> float:
    """A stage shorter than a look is one look."""
    return min(spec.look_seconds, stage.duration_minutes * 60)


def _name_stage(stage: Stage) -> str:
    return "shadow" if stage.shadow else f"{stage.percentage:g} %"


def _failure(context: StepContext) -> Readiness | None:
    """What fails in the server's work on green; nothing can be said of one that is gone."""
    store = context.services.store
    green = context.deployment.green
    return readiness.failure(store, green) if green in store.collections() else None


def _why_green_unfit(context: StepContext, failure: Readiness | None) -> str:
    """Green must exist and be sound at every look, whatever the traffic says."""
    green = context.deployment.green
    if green not in context.services.store.collections():
        return f"{green} does not exist any more"
    return f"{green} is broken: {failure.reason}" if failure is not None and failure.broken else ""


def _set_stage_route(context: StepContext, stage: Stage) -> Route:
    deployment = context.deployment
    spec = context.deployment.spec.canary
    return table.set_route(
        context.services,
        deployment.alias,
        stage=stage_name(context),
        salt=deployment.id,
        blue=deployment.blue,
        green=deployment.green,
        share=share_of(stage.percentage),
        shadow=share_of(spec.shadow_percentage) if stage.shadow else 0,
        deployment_id=deployment.id,
        fence=context.turn.fence,
    )


def _effects_by_metric(seen: StageObservation) -> State:
    """By metric: the harm and its bounds at this look, for a drawing of how it came to be known."""
    return {
        found.metric: [found.effect, found.low, found.high] for found in seen.judgment.comparisons
    }


def _build_output(
    seen: StageObservation,
    stage: Stage,
    confirmed: str,
    course: Sequence[Mapping[str, Any]] | None = None,
) -> StageSeen:
    """What was set, and who says that he serves it, are two different things."""
    return StageSeen(
        summary=f"{_name_stage(stage)}: {seen.words}",
        set=stage.percentage,
        confirmed=confirmed,
        traffic=seen.figures,
        judgment=asdict(seen.judgment),
        course=course,
    )
