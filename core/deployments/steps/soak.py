"""The watch after the switch: checks whether green keeps serving."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from qdrant_rollouts.core.collections import aliases, readiness
from qdrant_rollouts.core.collections.schema import main_vector, vector_kind, vector_names
from qdrant_rollouts.core.config.index_file import IndexSpec, SoakSpec
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.database.step_data import Progress
from qdrant_rollouts.core.deployments.canary_breakers import (
    BlueLatency,
    describe_errors,
    describe_slow,
    find_doubt,
    is_enough_to_judge,
    measure_error_rate,
)
from qdrant_rollouts.core.deployments.plan import Done, Duration, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import foreign_writes, late_writes
from qdrant_rollouts.core.deployments.steps.data import LateState, Soaked, SoakState
from qdrant_rollouts.core.deployments.steps.observed import (
    describe_tally,
    stage_name,
    sum_blue_searches,
    sum_tallies,
)
from qdrant_rollouts.core.errors import Limited, Refused, Unavailable
from qdrant_rollouts.core.ports import Point, QueryVector, Schema, SearchParams, State, VectorStore
from qdrant_rollouts.core.routing import table, traffic
from qdrant_rollouts.core.routing.route import LIVE
from qdrant_rollouts.core.statistics.traffic_sketch import TrafficSketch

#: Among this many points, a point is searched that has a vector to ask with.
_PAGE = 16
#: After so many looks a source that does not answer is no longer waited for.
_MOST_LOOKS = 100
#: How far back blue's latency is measured: as little as has enough searches.
_HOURS_OF_BLUE = (1, 24)


def watch_green(context: StepContext) -> Outcome:
    """Takes one look: at the alias, at the collection's health, and at a query through the alias.
    Safe to run twice: a repeated look only counts as one more look. Looks are counted, not seconds,
    so a jumping clock does not end the watch early."""
    spec = context.deployment.spec.soak
    wanted = max(1, math.ceil(spec.seconds / spec.interval_seconds))
    state = context.load(SoakState)
    if state.searches:
        return _search_late_writes(context, state)
    seen = _read_traffic(context)
    if not state.looks:
        state = _measure_blue(context, state)
    from_here, traffic_fault = _judge_traffic(context, state, seen)
    try:
        fault, failing = _looked(context)
    except Limited as error:  # applications have used up the rate limit: no look, and no fault
        return Wait(spec.interval_seconds, str(error), progress=False)
    fault = fault or traffic_fault
    # Searches are answered, so this is no fault; but such a look does not show that the index is
    # sound.
    if failing and not fault:
        return Wait(spec.interval_seconds, failing, progress=False)
    looks = state.looks + 1
    errors = state.errors + bool(fault)
    last = fault or state.last_error
    progress = Progress(done=looks, size=wanted, unit="looks")
    state = replace(
        state,
        looks=looks,
        errors=errors,
        last_error=last,
        judged=from_here,
        late=state.late or _begin_search(context),
        progress=progress,
    )
    context.save(state)
    if errors > spec.max_errors:
        return Reject(
            f"{errors} errors in {looks} looks, {spec.max_errors} are tolerated; the last: {last}"
        )
    return _decide_after_look(context, state, wanted, seen)


def _decide_after_look(
    context: StepContext, state: SoakState, wanted: int, seen: TrafficSketch
) -> Outcome:
    """Ends the watch after enough looks, if late writes were found too. Only bulk workers, which
    have the models, look for those, between two looks."""
    spec = context.deployment.spec.soak
    assert state.late is not None
    over = state.late.phase == late_writes.OVER
    if over and state.looks >= wanted:
        return Done(_sum_up(context, state, state.late, seen))
    said = _describe_look(state, wanted, spec)
    if over:
        return Wait(spec.interval_seconds, said)
    context.save(replace(state, searches=True))
    return Wait(0, f"{said}; looking for late writes", queue="bulk")


def _begin_search(context: StepContext) -> LateState:
    try:
        return late_writes.begin_search(context)
    except (Refused, Unavailable) as error:
        return LateState(phase=late_writes.OVER, fault=str(error))


def _search_late_writes(context: StepContext, state: SoakState) -> Outcome:
    """Looks for writes around the switch. Nothing that fails here ends the watch: it is told, and
    green serves."""
    spec = context.deployment.spec.soak
    assert state.late is not None
    began = time.monotonic()
    seconds = min(spec.interval_seconds, context.services.times.turn_time)
    try:
        late = late_writes.search_on(context, state.late, seconds)
    except (Refused, Unavailable) as error:
        given_up = isinstance(error, Refused) or state.looks > _MOST_LOOKS
        phase = late_writes.OVER if given_up else state.late.phase
        late = replace(state.late, phase=phase, fault=str(error))
    context.save(replace(state, late=late, searches=False), progress=True)
    rest = max(0.0, spec.interval_seconds - (time.monotonic() - began))
    return Wait(rest, late_writes.describe_found(late) or "no late write so far", queue="control")


def _sum_up(context: StepContext, state: SoakState, late: LateState, seen: TrafficSketch) -> Soaked:
    looks = "checked once" if state.looks == 1 else f"checked {state.looks} times"
    errors = "1 error" if state.errors == 1 else f"{state.errors} errors"
    words = [f"{looks}, {errors}, {_describe_searches(seen)}"]
    words += [told] if (told := foreign_writes.look_after_switch(context)) else []
    words += [told] if (told := late_writes.describe_found(late)) else []
    found = {"healed": late.healed, "both": late.both, "ids": list(late.ids), "fault": late.fault}
    return Soaked(
        summary="; ".join(words),
        looks=state.looks,
        errors=state.errors,
        last_error=state.last_error,
        traffic=describe_tally(seen),
        late=found if any(found.values()) else None,
    )


def estimate_soak(spec: IndexSpec, arguments: State) -> Duration:
    return Duration(spec.soak.seconds, spec.soak.seconds, "what the soak is set to")


def _read_traffic(context: StepContext) -> TrafficSketch:
    """Returns what users have experienced of green since the soak began, if they search through a
    router."""
    services = context.services
    alias = context.deployment.alias
    stage = stage_name(context)
    table.clear_route(services, alias, stage=stage, fence=context.turn.fence)
    with services.sessions() as session:
        return sum_tallies(traffic.read_tallies(session, alias, stage), LIVE, "real")


def _measure_blue(context: StepContext, state: SoakState) -> SoakState:
    """Adds what the last searches experienced that blue answered, unless they are too few to judge
    green by."""
    services = context.services
    deployment = context.deployment
    limits = deployment.spec.canary.breakers
    if deployment.blue is None:
        return state
    with services.sessions() as session:
        now = services.clock.now(session)
        for hours in _HOURS_OF_BLUE:
            seen = sum_blue_searches(
                traffic.read_tallies_of_collection(
                    session, deployment.alias, deployment.blue, now - timedelta(hours=hours)
                )
            )
            if seen.calls >= limits.calls:
                return replace(state, blue=seen.mean, blue_errors=measure_error_rate(seen, limits))
    return state


def _judge_traffic(
    context: StepContext, state: SoakState, seen: TrafficSketch
) -> tuple[Sequence[float], str]:
    """Judges the searches that were not judged yet by the limits of a canary's breakers. Returns
    the sums up to which all searches are judged, and the fault, or nothing. Too few searches are
    judged later, together with the next ones."""
    limits = context.deployment.spec.canary.breakers
    before = state.judged
    seconds = seen.seconds - before[0]
    calls = seen.calls - int(before[1])
    errors = seen.errors - int(before[2])
    if not is_enough_to_judge(calls, errors, limits):
        return before, ""
    upto = [seen.seconds, seen.calls, seen.errors]
    mean = seconds / calls
    failed = describe_errors(calls, errors, limits, state.blue_errors)
    if failed:
        return upto, failed
    slow = describe_slow(
        mean,
        f"the mean latency of {calls} searches",
        find_doubt(seen, calls),
        BlueLatency(state.blue, "before the switch"),
        limits,
    )
    return upto, slow


def _describe_searches(seen: TrafficSketch) -> str:
    if not seen.calls:
        return "no searches through a router"
    return f"{seen.calls} searches of users, {seen.errors} failed"


def _describe_look(state: SoakState, wanted: int, spec: SoakSpec) -> str:
    seen = f"look {state.looks} of {wanted}, {state.errors} errors (tolerates {spec.max_errors})"
    if state.last_error:
        return f"{seen}; last: {state.last_error}"
    return seen


def _looked(context: StepContext) -> tuple[str, str]:
    """Returns what is wrong in this look, and what may recover by itself; each may be nothing. A
    service that does not answer is a fault too, because users notice it."""
    try:
        fault = _find_alias_fault(context) or _find_query_fault(context)
        if fault:
            return (fault, "")
        return _work_on_index(context)
    except Limited:
        raise
    except (Unavailable, Refused) as error:
        return str(error), ""


def _find_alias_fault(context: StepContext) -> str:
    """Returns what is wrong with the alias, or nothing. Qdrant compares no fencing number, so a
    process that was paused before its switch may carry it out late. If the alias is on blue, it is
    moved to green again. If it is elsewhere, a person has moved it, and ``move_alias`` refuses."""
    deployment = context.deployment
    services = context.services
    found = services.store.aliases().get(deployment.alias)
    if found == deployment.green:
        return ""
    aliases.move_alias(
        services,
        deployment.alias,
        deployment.green,
        expected={deployment.blue, None},
        actor="system",
        deployment_id=deployment.id,
        check=context.turn.check,
    )
    return f"{deployment.alias} was on {found} and was put back on {deployment.green}"


def _work_on_index(context: StepContext) -> tuple[str, str]:
    """Returns what fails in the server's work on the index. It is a fault if waiting does not
    help."""
    green = context.deployment.green
    seen = readiness.find_failure(context.services.store, green)
    if seen is None or seen.broken:
        return readiness.why_unable_to_serve(green, seen), ""
    return "", f"{green}: {seen.reason}; the server is asked to try again, {context.patience}"


def _find_query_fault(context: StepContext) -> str:
    """Returns what is wrong with a query, or nothing. A stored vector must find something through
    the alias. Any stored vector will do, so no model needs to be loaded."""
    store = context.services.store
    deployment = context.deployment
    page, _ = store.scroll(deployment.green, None, _PAGE)
    if not page:
        return f"{deployment.green} holds no point"
    if _is_answered(store, deployment.alias, deployment.green, page):
        return ""
    return f"{deployment.alias} found nothing"


def _is_answered(store: VectorStore, alias: str, collection: str, points: Sequence[Point]) -> bool:
    """Returns whether the alias answers. A point need not have a vector of each name; if none of
    these points has one, they must at least exist."""
    asked = next(_askable_vectors(store.schema(collection), points), None)
    if asked is None:
        return bool(store.fetch(alias, [point.id for point in points], vectors=False))
    name, vector = asked
    return bool(store.search(alias, vector, 1, SearchParams(using=name)))


def _askable_vectors(schema: Schema, points: Sequence[Point]) -> Iterator[tuple[str, QueryVector]]:
    """Returns vectors with their names, those of the main vector first."""
    names = dict.fromkeys([main_vector(schema), *vector_names(schema)])
    for name in names:
        for point in points:
            vector = vectors_by_name(point.vector).get(name)
            if vector is not None and vector_kind(schema, name).askable(vector):
                yield name, vector
