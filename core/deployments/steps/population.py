"""Fills green: chooses the way, fills, and waits until the index is ready."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.collections import aliases, readiness, versions
from qdrant_rollouts.core.collections.changes import mark_source
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.model_proof import measure_agreement
from qdrant_rollouts.core.collections.readiness import Readiness, estimate_points
from qdrant_rollouts.core.collections.same_model import unknown_vectors
from qdrant_rollouts.core.collections.schema import (
    are_same_vectors,
    list_differences,
    meant_vector,
    vector_names,
)
from qdrant_rollouts.core.collections.stamps import MadeBy, Stamp, read_stamp
from qdrant_rollouts.core.collections.vectors import read_plan
from qdrant_rollouts.core.deployments.plan import (
    Done,
    Outcome,
    Reject,
    StepContext,
    StepFunction,
    Wait,
)
from qdrant_rollouts.core.deployments.steps import (
    cloning,
    delta,
    journaled,
    kept_estimate,
    loading,
    lost_answers,
    reading,
    slicing,
)
from qdrant_rollouts.core.deployments.steps.data import DELTA, SNAPSHOT, CreatedGreen, FillState
from qdrant_rollouts.core.deployments.steps.estimates import Work
from qdrant_rollouts.core.deployments.steps.version_notes import note_facts
from qdrant_rollouts.core.deployments.steps.ways import NewCollection, Way
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import Cursor, Health, Schema, Source

#: How many of this program's own files are named, among the files that a source leaves out.
_MOST_NAMED = 3


def populate_green(context: StepContext) -> Outcome:
    """Continues where the saved state ends: choose the way, fill, wait for the index.
    Safe to run twice: every way writes points under fixed ids, and saves its position only after
    the server has acknowledged the write."""
    if not journaled.uses_journal(context):
        return _work_on(context)
    if context.load(FillState).slices:
        return _work_on(context)  # its slices write, and this turn does not
    waits = journaled.capture_writes(context)
    if waits is not None:
        return waits
    with journaled.write_green(context):
        return _work_on(context)


def _work_on(context: StepContext) -> Outcome:
    state = context.load(FillState)
    if state.way is None:
        return _choose_way(context)
    if not state.filled:
        return _filled(context, slicing.await_slices if state.slices else _WAYS[state.way])
    return _wait_for_index(context, state)


def fill_slice(
    context: StepContext, number: int, start: Cursor | None, stop: Cursor | None
) -> Outcome:
    """Fills green from one slice of the source."""
    if context.load(FillState).way == "copy":
        return cloning.copy_slice(context, start, stop)
    return loading.fill_slice(context, number, start, stop)


def clean_up_filling(context: StepContext) -> Outcome:
    """Stops the slices, and removes what the filling left outside green. The undo of ``create``
    drops green itself."""
    waits = slicing.stop_slices(context)
    if waits is not None:
        return waits
    if journaled.uses_journal(context):
        journaled.stop_capturing(context)
    delta.forget_pass(context)
    return cloning.drop_own_snapshot(context)


def choose_way(context: StepContext, source: Source, green: NewCollection) -> Way:
    """Returns how green will be filled. Reads, and changes nothing. Raises Refused if no way is
    possible. Green need not exist yet."""
    deployment = context.deployment
    if source.collection is None:
        if deployment.blue is None:
            return _READ_FIRST
        return _prefer(_ONLY_CHANGES, _READ_RECORDS, delta.why_not_delta(context, green))
    plan = green.vectors
    way = _way_from_collection(context, green, source.collection)
    chunked = any(embedding.chunk is not None for embedding in plan.made.values())
    if way is _MAKE_AGAIN and chunked:
        raise Refused(
            f"{source.address} holds points, not documents: with embedding.chunk its vectors "
            "cannot be made again; "
            "name the source of the documents"
        )
    if way is None:
        raise Refused(
            f"the vectors of {source.address} do not fit {deployment.green} (size, distance or "
            "datatype) and "
            f"index {deployment.alias} declares no embedding to make new ones"
        )
    return way


def expect_way(context: StepContext, way: Way, work: Work) -> Way:
    """Returns the way that is taken in the end, as far as the sample shows it. The choice is made
    when the whole source was compared."""
    blue = context.deployment.blue
    if way is not _ONLY_CHANGES or work.changes is None or blue is None:
        return way
    points = estimate_points(context.services.store, blue)
    share = context.deployment.spec.populate.delta_at_most
    told = f"about {work.changes.value:,.0f} of {points:,} points would be written or deleted"
    if work.changes.value > share * points:
        bound = f"more than a share of {share:g} (populate.delta_at_most)"
        return _prefer(way, _READ_RECORDS, f"{told}, {bound}")
    return replace(way, why=f"{way.why}; {told}")


def _prefer(cheaper: Way, other: Way, why: str) -> Way:
    """Returns the way that costs less, or the other one if there is a reason against it."""
    if not why:
        return cheaper
    note = f"not by {cheaper.name}: {why}"
    return replace(other, why=f"{other.why}; {note}", note=note)


def _choose_way(context: StepContext) -> Outcome:
    deployment = context.deployment
    source = reading.open_deployment_source(context)
    source.check()
    green = _describe_green(context)
    try:
        way = choose_way(context, source, green)
    except Refused as error:
        return Reject(str(error))
    names = source.left_out
    left_out = {"files": len(names), "named": list(names[:_MOST_NAMED])} if names else None
    state = FillState(
        way=way.name,
        fingerprint=source.fingerprint(),
        begun=mark_source(source, deployment.spec),
        left_out=left_out,
        note=way.note or None,
    )
    if way.name in slicing.CUT_WAYS:
        state = slicing.begin_filling(context, state)
    else:
        context.save(state)
    # After the state: a turn that is cut short by the estimate is not repeated.
    kept_estimate.keep_estimate(context, source, green, way)
    cut = f" in {state.slices} slices" if state.slices else ""
    return Wait(0, "; ".join(filter(None, (f"filling by {way.name}{cut}", way.note))))


def _describe_green(context: StepContext) -> NewCollection:
    """Returns green as ``create`` has made it."""
    store = context.services.store
    deployment = context.deployment
    created = context.outputs.get(CreatedGreen)
    stamp = read_stamp(store, deployment.green)
    return NewCollection(
        vectors=read_plan(deployment.spec, created.vectors, created.vector),
        schema=store.schema(deployment.green),
        made=stamp.made if stamp is not None else {},
    )


def _way_from_collection(context: StepContext, green: NewCollection, collection: str) -> Way | None:
    """Returns the way to fill green from a collection; None if no way is possible. snapshot: only
    the name changes. copy: settings change, vectors do not. records: some vectors are made again,
    carried over or dropped."""
    store = context.services.store
    plan = green.vectors
    theirs = store.schema(collection)
    if not _every_vector_stays(context, green, collection, theirs):
        if plan.templates or plan.carried or plan.dropped:
            return _MAKE_AGAIN
        return None
    server = store.server()
    if server.embedded or server.peers > 1:
        return _COPY
    different = list_differences(theirs, green.schema, waiting=True)
    if different:
        return replace(_COPY, why=f"{_COPY.why}; {different[0]}")
    return _prefer(_SNAPSHOT, _COPY, lost_answers.why_not_cloned(context))


def _every_vector_stays(
    context: StepContext, green: NewCollection, collection: str, theirs: Schema
) -> bool:
    """Returns whether the points can be copied without changes."""
    plan = green.vectors
    ours = green.schema
    names = vector_names(ours)
    if plan.dropped or plan.carried or vector_names(theirs) != names:
        return False
    if not all(are_same_vectors(theirs, ours, name) for name in names):
        return False
    stamp = read_stamp(context.services.store, collection)
    return all(
        _is_made_alike(context, collection, name, by, stamp) for name, by in green.made.items()
    )


def _is_made_alike(
    context: StepContext, collection: str, name: str, by: MadeBy, stamp: Stamp | None
) -> bool:
    """Returns whether these vectors were made as green's will be made. If the collection does not
    say so, a sample of its texts is embedded again. If it stores no text, nothing can be embedded
    again, and the gate judges the copied vectors. Vectors that the server makes can always be made
    again, at no cost."""
    theirs = None
    if stamp is not None:
        theirs = stamp.made.get(name)
    if theirs is not None:
        return _settings_of_maker(theirs) == _settings_of_maker(by)
    schema = context.services.store.schema(collection)
    if by.embedding is None or meant_vector(schema, name) not in unknown_vectors(stamp, schema):
        return by.server is None
    found = measure_agreement(context.services, collection, name, by.embedding)
    return found.proven or not found.of


def _settings_of_maker(by: MadeBy) -> tuple[object, ...]:
    return by.identity, by.template, by.embedding.chunk if by.embedding else None


def _filled(context: StepContext, way: StepFunction) -> Outcome:
    """Fills green. If the server does not answer, it may have too little disk or memory. It is
    woken, so that it continues when there is room."""
    try:
        return way(context)
    except Unavailable:
        with suppress(Unavailable, Refused):
            readiness.rouse(context.services.store, context.deployment.green)
        raise


def _wait_for_index(context: StepContext, state: FillState) -> Outcome:
    green = context.deployment.green
    look = aliases.inspect_and_wake(context.services, green, state.failures)
    barred = readiness.why_unable_to_serve(green, look)
    if barred:
        return Reject(barred)
    seen = (state.ready or 0) + 1 if look.ready else 0
    if seen >= readiness.READY_LOOKS or (look.ready and context.services.store.server().embedded):
        embedded = context.services.store.server().embedded
        may_clone = context.deployment.blue is not None and not embedded
        filled = _summarize_filling(state, may_clone=may_clone)
        note_facts(context, versions.facts_of_filling(filled, state.read))
        return Done(filled)
    health = context.services.store.health(green)
    failing = _failing(context, state, health)
    context.save(
        replace(
            state,
            ready=seen,
            work=readiness.measure_work(health),
            failures=health.failures,
            failing=failing,
        )
    )
    if look.failing:
        return _failed(context, look, failing)
    moved = look.ready or readiness.is_at_work(health, state.work)
    return Wait(
        context.services.times.ready_look,
        f"index: {look.reason or f'ready, look {seen} of {readiness.READY_LOOKS}'}",
        moved,
    )


def _failing(context: StepContext, state: FillState, health: Health) -> list[float]:
    """Returns for how many seconds the server has reported an error without indexing more, and how
    many vectors are indexed. Other figures change in each look, because a build that runs for
    minutes and then fails also does work."""
    if not readiness.shows_error(health):
        return []
    seconds, indexed = state.failing or (0.0, health.indexed_vectors)
    grown = health.indexed_vectors > indexed
    seconds = 0.0 if grown else seconds + context.services.times.ready_look
    return [seconds, max(int(indexed), health.indexed_vectors)]


def _failed(context: StepContext, look: Readiness, failing: list[float]) -> Outcome:
    """Waits, because a person may make room. Each look asks the server to try again."""
    bound = context.deployment.spec.progress_deadline_seconds
    if failing and failing[0] > bound:
        return Reject(
            f"the server did not finish the index within {bound:g} s of trying again: {look.reason}"
        )
    reason = (
        f"index: the server fails to build it and tries again: {look.reason}; {context.patience}"
    )
    return Wait(context.services.times.ready_look, reason, progress=False)


def _summarize_filling(state: FillState, *, may_clone: bool) -> Filling:
    """``may_clone``: there was something to clone, so people ask why that was not done."""
    how = "read from the source" if state.way == "records" else f"by {state.way}"
    words = [f"{state.written or 0:,} points {how}"]
    counted = {
        "written anew": state.renewed,
        "deleted": state.dropped,
        "embedded": state.embedded,
        "reused": state.reused,
        "truncated": state.truncated,
    }
    words += [f"{count:,} {name}" for name, count in counted.items() if count]
    words += [f"{state.bad:,} bad records skipped"] if state.bad else []
    words += [f"{state.gone:,} gone from the source"] if state.gone else []
    words += [_describe_left_out(state.left_out)] if state.left_out else []
    words += [state.note] if state.note and may_clone else []
    words += filter(None, [cloning.describe_unnamed(state)])
    return Filling(
        summary=", ".join(words),
        way=state.way,
        fingerprint=state.fingerprint,
        begun=state.begun,
        expected=state.expected,
        written=state.written,
        embedded=state.embedded,
        reused=state.reused,
        truncated=state.truncated,
        by_vector=state.by_vector,
        bad=state.bad,
        bad_samples=state.bad_samples,
        gone=state.gone,
        renewed=state.renewed,
        dropped=state.dropped,
        deltas=state.deltas,
        left_out=state.left_out,
        note=state.note,
        looks=readiness.READY_LOOKS,
        progress=state.progress,
    )


def _describe_left_out(left: Mapping[str, Any]) -> str:
    named = left["named"]
    others = int(left["files"]) - len(named)
    more = f" and {others:,} more" if others else ""
    return f"files of this program left out: {', '.join(named)}{more}"


_READ_RECORDS = Way(
    "records",
    "full: every record of the source is read; vectors of unchanged texts are taken from the live "
    "collection",
)
_READ_FIRST = Way(
    "records", "full: every record of the source is read and embedded, because nothing is live"
)
_MAKE_AGAIN = Way(
    "records",
    "full: every point is read, because some of its vectors are made again, carried over or "
    "dropped",
)
_ONLY_CHANGES = Way(
    DELTA,
    "delta: the live collection is cloned with its index, and only what differs from the source is "
    "written",
    clones=True,
)
_COPY = Way("copy", "copy: all vectors stay as they are, so the points are copied", embeds=False)
_SNAPSHOT = Way(
    SNAPSHOT,
    "snapshot: neither vectors nor settings change, so the server copies the whole collection",
    embeds=False,
    clones=True,
)
_WAYS = {
    "records": loading.load_records,
    "copy": cloning.copy_points,
    SNAPSHOT: cloning.copy_by_snapshot,
    DELTA: delta.fill_by_delta,
}
