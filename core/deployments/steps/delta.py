"""Fills green where little has changed: green is a clone of blue with its index, and only what
differs from the source is written.

Rule: nothing is begun before it is known. First the source is read once and compared with blue. If
more of blue's points must change than the index allows, green is still empty, and it is filled from
all records. So it is never a half of both. Then blue is cloned, and a pass over the source brings
green to exactly what all records make. It compares every point of green, because applications may
have written to blue after the look.

How many records may be gone is judged by the gate, for this way as for the one from all records.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.collections import versions
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.schema import list_changes_of_both
from qdrant_rollouts.core.collections.seen import (
    MetIds,
    count_ranges,
    forget_seen,
    merge_range,
    name_look,
    save_piece,
)
from qdrant_rollouts.core.collections.stamps import MadeBy, read_stamp
from qdrant_rollouts.core.collections.vectors import VectorPlan
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.database.step_data import Progress
from qdrant_rollouts.core.deployments.plan import Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import (
    cloning,
    loading,
    lost_answers,
    pieces,
    point_comparison,
    reading,
    rereading,
    source_reader,
)
from qdrant_rollouts.core.deployments.steps.data import (
    CLONED,
    DECIDED,
    DELTA,
    PIECE_SECONDS,
    FillState,
    LookState,
    RoundState,
)
from qdrant_rollouts.core.deployments.steps.followers import FIRST_BATCH
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, do_pages, limit_to
from qdrant_rollouts.core.deployments.steps.record_vectors import VectorCounts
from qdrant_rollouts.core.deployments.steps.source_reader import Reader
from qdrant_rollouts.core.deployments.steps.ways import NewCollection
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Schema, Source

#: Ways of filling after which a collection has what its source gave, with marks.
_FROM_RECORDS = ("records", DELTA)
_SITE = "sitemap:"


def why_not_delta(context: StepContext, green: NewCollection) -> str:
    """Returns why green is not filled by a clone of blue, although its source gives records; empty
    if it is. Something is live; green need not exist yet."""
    blue = _blue_of(context)
    barred = _why_never_cloned(context)
    if barred:
        return barred
    lost = lost_answers.why_not_cloned(context)
    if lost:
        return f"{lost}; populate.delta_at_most: 0 turns it off for good"
    facts = _facts_of(context, blue)
    return (
        _why_other_origin(context, blue, facts, green)
        or _why_other_collection(context, blue, green)
        or _why_incomplete(context, blue, green.vectors)
        or _why_fresh_one_is_due(context, facts)
    )


def fill_by_delta(context: StepContext) -> Outcome:
    state = context.load(FillState)
    source = reading.open_deployment_source(context)
    changed = reading.why_changed(context, source, state.fingerprint)
    if changed:
        return Reject(changed)
    look = state.look or LookState()
    if look.phase != DECIDED:
        return _PHASES[look.phase](context, state)
    if state.phase != CLONED:
        return cloning.copy_by_snapshot(context)
    if state.round is not None and state.round.phase == _OVER:
        return _end_pass(context, state, state.round)
    return _bring_up(context, state)


def forget_pass(context: StepContext) -> None:
    """Removes what the pass over the source has left in the database."""
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        forget_seen(session, context.deployment.id)


# --- may it be ------------------------------------------------------------------------------------


def _why_never_cloned(context: StepContext) -> str:
    """Returns what in the server, the settings or the source stands against it, whatever blue
    is."""
    deployment = context.deployment
    server = context.services.store.server()
    if server.embedded:
        return "the embedded Qdrant cannot clone a collection"
    if server.peers > 1:
        return "a snapshot does not clone a collection of a cluster"
    if deployment.spec.populate.delta_at_most == 0:
        return "populate.delta_at_most is 0"
    if (deployment.source or "").startswith(_SITE):
        return "every page of a site would be asked for twice"
    return ""


def _facts_of(context: StepContext, collection: str) -> Mapping[str, Any]:
    with context.services.sessions() as session:
        row = session.get(Version, collection)
        return dict(row.facts) if row is not None else {}


def _why_other_origin(
    context: StepContext, blue: str, facts: Mapping[str, Any], green: NewCollection
) -> str:
    """Returns why blue's points are not those that the source's records of then made."""
    if facts.get("way") not in _FROM_RECORDS:
        return f"{blue} was not made from records here"
    source = versions.facts_of_request("", context.deployment.source)["source"]
    if facts.get("source") != source:
        return f"{blue} was made from {facts.get('source')}"
    before = read_stamp(context.services.store, blue)
    if before is None:
        return f"{blue} does not say what made its vectors"
    other = _why_other_makers(blue, before.made, green.made)
    if other or facts.get("vectors") == green.vectors.origins:
        return other
    return f"the vectors of {blue} come from elsewhere than declared now"


def _why_other_makers(blue: str, before: Mapping[str, MadeBy], now: Mapping[str, MadeBy]) -> str:
    if before.keys() != now.keys():
        return f"{blue} has other vectors that are made from text"
    for name, by in now.items():
        other = before[name]
        if other.identity != by.identity:
            return f"another model makes {_call_vector(name)}"
        if other.template != by.template:
            return f"another text template makes {_call_vector(name)}"
        if _chunking_of(other) != _chunking_of(by):
            return "documents are cut in another way"
    return ""


def _call_vector(name: str) -> str:
    return f"vector {name}" if name else "the vector"


def _chunking_of(by: MadeBy) -> object:
    return by.embedding.chunk if by.embedding is not None else None


def _why_other_collection(context: StepContext, blue: str, green: NewCollection) -> str:
    theirs = _without_strict_mode(context.services.store.schema(blue))
    changes = list_changes_of_both(theirs, _without_strict_mode(green.schema))
    if not changes:
        return ""
    return f"the collection's settings change: {'; '.join(changes)}"


def _without_strict_mode(schema: Schema) -> Schema:
    """Green's strict mode is switched on only before it serves."""
    return {name: value for name, value in schema.items() if name != "strict_mode_config"}


def _why_incomplete(context: StepContext, blue: str, plan: VectorPlan) -> str:
    """Returns which made vector some points of blue lack. Nothing in their payloads says so."""
    store = context.services.store
    try:
        points = store.count(blue)
        for name in plan.templates:
            having = store.count(blue, having=name)
            if having < points:
                return f"{points - having:,} points of {blue} lack {_call_vector(name)}"
    except Refused as error:  # strict mode allows no exact count
        return str(error)
    return "" if points else f"{blue} is empty"


def _why_fresh_one_is_due(context: StepContext, facts: Mapping[str, Any]) -> str:
    deltas = int(facts.get("deltas") or 0)
    most = context.deployment.spec.populate.full_every
    if deltas < most:
        return ""
    return f"a fresh index is due after {deltas} of them in a row (populate.full_every)"


# --- what has changed -----------------------------------------------------------------------------


def _look(context: StepContext, state: FillState) -> Outcome:
    """Compares the source with blue, and writes nothing. It ends as soon as too much has
    changed."""
    blue = _blue_of(context)
    store = context.services.store
    reader = source_reader.open_reader(context, filling=VectorCounts())
    source_reader.fit_window(reader, store.limits(blue))
    begun = state.look or LookState()
    points = begun.points
    if points is None:  # counted once, because a count may use up what the rate allows a turn
        points = store.count(blue)
        state = replace(state, look=replace(begun, points=points))
        context.save(state)
    most = _most_changed(context, points)

    def look_on(state: FillState, seconds: float) -> tuple[FillState, bool]:
        look = state.look or LookState()
        after = look.read
        met = MetIds()
        reader.rows.go_to(look.cursor, reader.source.read)
        look, more = _compare_windows(reader, blue, look, met, most, limit_to(seconds))
        with context.services.sessions.begin() as session:
            context.turn.fence(session)
            if after == 0:
                forget_seen(session, context.deployment.id)
            save_piece(session, name_look(context.deployment.id), after, met)
        progress = _measure_progress(reader.source, look.cursor, look.read) or state.progress
        return replace(state, look=look, progress=progress), more

    state = pieces.work(context, state, look_on)
    assert state.look is not None
    return Wait(
        0, f"{state.look.read:,} records compared with {blue}, {state.look.changed:,} have changed"
    )


def _compare_windows(
    reader: Reader, blue: str, look: LookState, met: MetIds, most: int, goes_on: GoesOn
) -> tuple[LookState, bool]:
    """Compares until the end, or until too much has changed, as long as ``do_pages`` does."""

    def compare_next(look: LookState) -> tuple[LookState, bool]:
        reader.context.services.store.pace(blue)
        started = time.monotonic()
        reader.rows.go_to(look.cursor, reader.source.read)
        window, more = source_reader.read_window(reader)
        sorted_window = source_reader.sort_window(reader, window, met)
        found = point_comparison.compare_window(reader, blue, sorted_window.records)
        sorted_window.add_met_to(met)
        if window:
            look = replace(
                look,
                cursor=window[-1].cursor,
                read=look.read + len(window),
                changed=look.changed + len(found.changed),
                there=look.there + found.there,
            )
        source_reader.resize_window(reader, len(window), time.monotonic() - started)
        return look, more and look.changed <= most

    look, more = do_pages(look, compare_next, goes_on)
    return (look, True) if more else (replace(look, phase=_READ), False)


def _judge(context: StepContext, state: FillState) -> Outcome:
    """Looks for ids that are in the source twice, and then decides. Green is still empty here, so
    either way is open."""
    repeated = 0

    def merge_on(state: FillState, seconds: float) -> tuple[FillState, bool]:
        nonlocal repeated
        assert state.look is not None
        goes_on = limit_to(seconds)
        look, ranges = state.look, _count_ranges(context, state.look)
        while look.part < ranges:
            with context.services.sessions() as session:
                name = name_look(context.deployment.id)
                repeated += merge_range(
                    session, name, look.read, look.part, ranges, keep=False
                ).repeated
            if repeated:
                return state, False
            look = replace(look, part=look.part + 1)
            if not goes_on():
                break
        return replace(state, look=look), look.part < ranges

    state = pieces.work(context, state, merge_on)
    assert state.look is not None
    if repeated:
        why = "an id is in the source more than once, and the full way names it"
        return cloning.fill_from_all(context, state, why)
    if state.look.part < _count_ranges(context, state.look):
        return Wait(0, f"looking for ids that are in {context.deployment.source} twice")
    return _decide(context, state)


def _count_ranges(context: StepContext, look: LookState) -> int:
    with context.services.sessions() as session:
        return count_ranges(session, name_look(context.deployment.id), look.read)


def _decide(context: StepContext, state: FillState) -> Outcome:
    assert state.look is not None
    blue = _blue_of(context)
    points = context.services.store.count(blue)
    gone = max(0, points - state.look.there)
    most = _most_changed(context, points)
    bound = f"{context.deployment.spec.populate.delta_at_most:g} (populate.delta_at_most)"
    if state.look.changed > most:
        why = f"more than {most:,} of {points:,} points would change, a share of {bound}"
        return cloning.fill_from_all(context, state, why)
    told = f"{state.look.changed:,} records changed and {gone:,} gone, of {points:,} points"
    if state.look.changed + gone > most:
        return cloning.fill_from_all(context, state, f"{told}: more than a share of {bound}")
    context.save(replace(state, look=replace(state.look, phase=DECIDED)))
    return Wait(0, f"{told}: cloning {blue}")


def _most_changed(context: StepContext, points: int) -> int:
    return int(context.deployment.spec.populate.delta_at_most * points)


def _blue_of(context: StepContext) -> str:
    blue = context.deployment.blue
    assert blue is not None
    return blue


# --- brought up to the source ---------------------------------------------------------------------


def _bring_up(context: StepContext, state: FillState) -> Outcome:
    counts = VectorCounts.of(state)
    reader = source_reader.open_reader(context, filling=counts)
    reader.batch = state.window or FIRST_BATCH
    rejected: Reject | None = None

    def read_on(before: FillState, seconds: float) -> tuple[FillState, bool]:
        nonlocal rejected
        state = before
        current = state.round or source_reader.begin_pass(reader)
        if state.piece < PIECE_SECONDS:
            # A worker died in this piece. Fewer points are made, and these are saved at once.
            reader.batch = max(1, int(reader.batch * state.piece / PIECE_SECONDS))
            seconds = 0.0
        current, more = rereading.read_piece(reader, current, seconds)
        progress = _measure_progress(reader.source, current.cursor, current.read)
        moved = replace(state, round=current, window=reader.batch)
        state = counts.add_to(replace(moved, progress=progress or state.progress))
        state, refusal = loading.count_bad_records(context.deployment.spec, state, reader.bad)
        state = replace(state, gone=(state.gone or 0) + reader.gone)
        reader.bad.clear()
        reader.gone = 0
        if refusal:
            # The place is not saved: a worker that dies now must meet the bad record again.
            rejected = Reject(refusal, Filling(bad=state.bad, bad_samples=state.bad_samples))
            return before, False
        return state, more

    state = pieces.work(context, state, read_on)
    if rejected is not None:
        return rejected
    assert state.round is not None
    return Wait(0, _describe_pass(state.round))


def _end_pass(context: StepContext, state: FillState, current: RoundState) -> Outcome:
    state = replace(
        state,
        round=None,
        renewed=(state.renewed or 0) + current.made,
        dropped=(state.dropped or 0) + current.deleted,
    )
    facts = _facts_of(context, _blue_of(context))
    filled = replace(
        state,
        filled=True,
        read=current.read,
        written=current.checked,
        expected=current.checked,
        deltas=int(facts.get("deltas") or 0) + 1,
    )
    with context.services.sessions.begin() as session:
        context.save_within(session, filled)
        forget_seen(session, context.deployment.id)
    return Wait(0, _describe_pass(current))


def _describe_pass(current: RoundState) -> str:
    return (
        f"{current.read:,} records compared, {current.made:,} points written, "
        f"{current.deleted:,} deleted"
    )


def _measure_progress(
    source: Source, cursor: Mapping[str, Any] | None, read: int
) -> Progress | None:
    if cursor is None:
        return None
    return Progress(done=int(cursor["done"]), size=source.size(), unit="source", records=read)


_READ = "read"
#: The phase of a pass that is over (``rereading``).
_OVER = "over"

_PHASES: Mapping[str, Callable[[StepContext, FillState], Outcome]] = {"": _look, _READ: _judge}
