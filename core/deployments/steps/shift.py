"""One stage of a canary: green gets a share of the searches for some time, and the results of those
searches decide."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from qdrant_rollouts.core.collections import readiness
from qdrant_rollouts.core.collections.model_proof import find_unknown_vectors
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
from qdrant_rollouts.core.deployments.steps import catch_up, limiting, probing
from qdrant_rollouts.core.deployments.steps.data import StageProgress, StageSeen, StageState
from qdrant_rollouts.core.deployments.steps.gate import why_gate_shut
from qdrant_rollouts.core.deployments.steps.observed import (
    StageObservation,
    observe_stage,
    stage_name,
)
from qdrant_rollouts.core.errors import Limited, Refused, Unavailable
from qdrant_rollouts.core.ports import State
from qdrant_rollouts.core.routing import table
from qdrant_rollouts.core.routing.route import Route
from qdrant_rollouts.core.statistics.assignment import share_of

_CONFIRM_AGAIN = 1.0
#: The effects of this many looks are kept.
_KEPT_EFFECTS = 120
#: For which share of the time between two looks writes are brought to green.
_FOLLOWING = 0.5


def shift_traffic(context: StepContext) -> Outcome:
    """Takes one look at the stage. Safe to run twice: a route that is set already stays, and a
    repeated look only counts as one more look.

    Looks are counted, not seconds, so a jumping clock ends no stage early. Between two looks green
    gets what was written meanwhile, so that the two sides differ by little else than the model.
    """
    stage = read_stored(Stage, context.arguments)
    if context.load(StageState).follows:
        return _follow_writes(context, stage)
    spec = context.deployment.spec.canary
    green = context.deployment.green
    failure = readiness.find_failure(context.services.store, green)
    barred = (
        why_gate_shut(context)
        or readiness.why_unable_to_serve(green, failure)
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
    state = replace(state, looks=looked, windows=seen.windows, course=course, progress=progress)
    context.save(state)
    decided = _decide_stage(seen, stage, spec, looks, output)
    if isinstance(decided, Wait) and catch_up.must_follow(context, state.followed):
        context.save(replace(state, follows=True))
        return Wait(0, decided.reason, queue="bulk")
    # Green's searches are judged while the server fails, but the stage does not end.
    if failure is not None and not isinstance(decided, Reject):
        said = f"{green}: {failure.reason}; the server is asked to try again, {context.patience}"
        return Wait(_seconds_between_looks(stage, spec), said, progress=False)
    waits_for = ""
    if isinstance(decided, Done) and _is_before_switch(context):
        waits_for = _why_model_unknown(context)
    if isinstance(decided, Done) and waits_for:
        return Hold(waits_for, decided.output)
    return decided


def _follow_writes(context: StepContext, stage: Stage) -> Outcome:
    """Brings to green what was written since. The workers of other queues have no model."""
    state = context.load(StageState)
    between = _seconds_between_looks(stage, context.deployment.spec.canary)
    began = time.monotonic()
    try:
        current, more = catch_up.follow_writes(
            context, state.round, min(_FOLLOWING * between, context.services.times.turn_time)
        )
    except Limited as error:  # the round goes on at the next look
        context.save(replace(state, follows=False))
        return Wait(between, f"{context.deployment.green} gets no writes: {error}", queue="control")
    except (Refused, Unavailable) as error:  # green is watched on, and the watch after the switch
        # reads the source again
        context.save(replace(state, follows=False, round=None))
        return Wait(between, f"{context.deployment.green} gets no writes: {error}", queue="control")
    followed = state.followed if more else current.fingerprint
    rest = max(0.0, between - (time.monotonic() - began))
    context.save(replace(state, follows=False, round=current if more else None, followed=followed))
    said = (
        f"{current.checked:,} points compared, {current.made:,} made, {current.deleted:,} deleted"
    )
    return Wait(rest, f"{_name_stage(stage)}: {said}", queue="control")


def guard_shift(context: StepContext) -> Outcome:
    """Takes a look while the deployment is paused. Green keeps its share of the searches, so harm
    still ends the canary, and green still gets what was written meanwhile; the look has no other
    effect. Safe to run twice."""
    stage = read_stored(Stage, context.arguments)
    if context.load(StageState).follows:
        return _follow_writes(context, stage)
    spec = context.deployment.spec.canary
    green = context.deployment.green
    barred = readiness.why_unable_to_serve(
        green, readiness.find_failure(context.services.store, green)
    )
    if barred:
        return Reject(barred)
    state = context.load(StageState)
    seen = observe_stage(context, stage, state.windows)
    state = replace(state, windows=seen.windows)
    context.save(state)
    if seen.harm:
        route = table.current_route(context.services, context.deployment.alias)
        confirmed = table.confirm_route(context.services, route)
        return Reject(seen.harm, _build_output(seen, stage, str(confirmed)))
    if catch_up.must_follow(context, state.followed):
        context.save(replace(state, follows=True))
        return Wait(0, seen.words, queue="bulk")
    return Wait(spec.look_seconds, seen.words)


def shift_back(context: StepContext) -> Outcome:
    """Sends all users back to blue: sets the route, reads it back, and waits until every running
    search process reports that it serves it. Only then may a collection be dropped."""
    deployment = context.deployment
    services = context.services
    route = table.current_route(services, deployment.alias)
    if route.deployment_id == deployment.id:
        route = table.clear_route(services, deployment.alias, fence=context.turn.fence)
    confirmed = table.confirm_route(services, route)
    if not confirmed.all:
        return Wait(
            _CONFIRM_AGAIN, f"no search goes to green, confirmed by {confirmed}", progress=False
        )
    return Done(StepOutput(summary=f"no search goes to green, confirmed by {confirmed}"))


def estimate_stage(spec: IndexSpec, arguments: State) -> Duration:
    """Returns the duration of a stage. A stage with too little traffic takes longer."""
    stage = read_stored(Stage, arguments)
    seconds = stage.duration_minutes * 60
    return Duration(seconds, seconds * (1 + spec.canary.extension), "what the stage is set to")


def count_looks(stage: Stage, spec: CanarySpec) -> int:
    return math.ceil(stage.duration_minutes * 60 / spec.look_seconds)


def _progress_of_stage(
    stage: Stage, spec: CanarySpec, looks: int, seen: StageObservation
) -> StageProgress:
    """Returns the progress of the stage, measured in what decides it: the searches that green has
    answered. Time alone decides nothing."""
    wanted = count_looks(stage, spec)
    counted = [min(looks, wanted), wanted]
    if not wanted or not spec.min_searches:
        return StageProgress(done=counted[0], size=wanted, unit="looks", looks=counted)
    done = min(seen.searches, spec.min_searches)
    return StageProgress(done=done, size=spec.min_searches, unit="searches", looks=counted)


def _decide_stage(
    seen: StageObservation, stage: Stage, spec: CanarySpec, looks: int, output: StageSeen
) -> Outcome:
    """Decides the stage. Harm ends it at any look. Time and evidence together complete it. If the
    time is over and evidence is missing, a person must decide."""
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
    """Returns whether the next step moves the alias, and so all users, to green."""
    return any(
        traits_of(name).moves_alias for name in context.deployment.plan[context.position + 1 :][:1]
    )


def _why_model_unknown(context: StepContext) -> str:
    """Returns what a person must know before the switch, or nothing. Until the switch, searches by
    vector stay on blue."""
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
    """Returns the time until the next look. A stage that is shorter than this consists of one
    look."""
    return min(spec.look_seconds, stage.duration_minutes * 60)


def _name_stage(stage: Stage) -> str:
    if stage.shadow:
        return "shadow"
    return f"{stage.percentage:g} %"


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
    """Returns the effect and its bounds at this look, by metric. The chart of the stage is drawn
    from them."""
    return {
        found.metric: [found.effect, found.low, found.high] for found in seen.judgment.comparisons
    }


def _build_output(
    seen: StageObservation,
    stage: Stage,
    confirmed: str,
    course: Sequence[Mapping[str, Any]] | None = None,
) -> StageSeen:
    """Builds the output. It has both the share that was set and which search processes report that
    they serve it, because these can differ."""
    return StageSeen(
        summary=f"{_name_stage(stage)}: {seen.words}",
        set=stage.percentage,
        confirmed=confirmed,
        traffic=seen.figures,
        judgment=asdict(seen.judgment),
        course=course,
        missing=seen.missing,
    )
