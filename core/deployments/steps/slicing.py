"""Lets several workers fill green from one source: cuts it into slices, waits for them, and adds up
what they have written. A comparison is cut in the same way (``sliced_rounds``).

Rule: the slices are planned once, and each is read by its own turns (``core.deployments.slices``)
in an order of its own. What they write must not depend on which is first. A record's place is its
slice and its number in that, so each slice judges its own records alone. If the slices have written
more points than green has, an id is in several of them; then green is filled again in one pass,
which finds the same faults as if the source had never been cut.

Green may also have more points than the slices count: those of a window that was written, not
saved, and read again without a row that has left the source meanwhile. That hides no id that comes
twice, because a source that may lose a row under one fingerprint is cut by ids (``SplitSource``).
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.parts import find_cuts, limit_parts
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.database.step_data import Progress, StepState, read_data, write_data
from qdrant_rollouts.core.defaults import MOST_SLICES
from qdrant_rollouts.core.deployments import due_slices, workers
from qdrant_rollouts.core.deployments.plan import Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import journaled, reading
from qdrant_rollouts.core.deployments.steps.backup_data import UnpackedSource
from qdrant_rollouts.core.deployments.steps.data import FillState
from qdrant_rollouts.core.lifecycle import SliceEvent, SliceStatus, next_slice_status
from qdrant_rollouts.core.ports import Cursor, Source, SplitSource
from qdrant_rollouts.core.services import Services

#: The ways of filling that several workers can share.
CUT_WAYS = ("records", "copy")
#: Seconds between two looks at slices that must stop.
_SOON = 0.5
_BAD_SAMPLES = 20
#: One worker copies so many points in a few seconds.
LEAST_COPIED = 50_000
_COUNTS = ("read", "written", "expected", "embedded", "reused", "truncated", "bad", "gone")


def begin_filling(context: StepContext, state: FillState) -> FillState:
    """Cuts the source into slices, if several workers can fill green, and saves the state with
    which the filling begins, in one transaction: a slice without its plan would be filled although
    nobody waits for it. Returns that state."""
    cuts: Sequence[Cursor] = ()
    if context.outputs.find(UnpackedSource) is None:
        named = context.services.source(context.deployment.source or "")
        wanted = count_slices(context.services, context.deployment.spec, named, state.way)
        cuts = find_cuts(named, wanted)
    begun = replace(state, slices=len(cuts) + 1) if cuts else state
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        session.execute(delete(SliceRow).where(SliceRow.deployment_id == context.deployment.id))
        if cuts:
            add_slices(context, session, cuts, state)
        context.save_within(session, begun)
    return begun


def add_slices(
    context: StepContext,
    session: Session,
    cuts: Sequence[Cursor],
    initial: StepState,
    first: int = 0,
) -> None:
    """Adds the slices before, between and after ``cuts``, with numbers from ``first`` on."""
    now = context.services.clock.now(session)
    bounds = [None, *json.loads(json.dumps(cuts)), None]
    session.add_all(
        SliceRow(
            deployment_id=context.deployment.id,
            number=number,
            start=start,
            stop=stop,
            state=write_data(initial),
            wake_at=now,
        )
        for number, (start, stop) in enumerate(itertools.pairwise(bounds), first)
    )


def await_slices(context: StepContext) -> Outcome:
    """Adds up what the slices have done, until all are filled."""
    before = context.load(FillState)
    rows, now = read_slices(context, before.slices or 0)
    states = [read_data(FillState, row.state) for row in rows]
    state = _add_up(before, rows, states)
    refusal = describe_failure(rows) or _why_rejected(context, state)
    if refusal:
        return Reject(refusal, Filling(bad=state.bad, bad_samples=state.bad_samples))
    if all(row.status == SliceStatus.DONE for row in rows):
        return _finish(context, rows, state)
    context.save(state)
    due_slices.knock_due(context.services, len(rows), context.deployment.id)
    # A slice that waits for a server has patience of its own. One that no worker takes has not.
    moves = (state.read, state.written) != (before.read, before.written)
    moves = moves or any(is_in_hand(row, now) for row in rows)
    return Wait(context.services.times.ready_look, _describe(rows, state), progress=moves)


def stop_slices(context: StepContext) -> Wait | None:
    """Stops every slice before green is dropped. Returns what must be waited for, or None."""
    at_work = 0
    with context.services.sessions.begin() as session:
        context.turn.fence(session)
        now = context.services.clock.now(session)
        mine = select(SliceRow).where(
            SliceRow.deployment_id == context.deployment.id,
            SliceRow.status == SliceStatus.FILLING,
        )
        for row in session.scalars(mine.with_for_update()):
            if row.lease_until is not None and row.lease_until >= now:
                at_work += 1
            else:
                row.status = next_slice_status(row.status, SliceEvent.STOP)
    if not at_work:
        return None
    return Wait(_SOON, f"{at_work} slices end their present window", progress=False)


def count_slices(services: Services, spec: IndexSpec, source: Source, way: str | None) -> int:
    """Returns into how many slices a filling that begins now would cut the source at most; 1 if it
    is read in one part."""
    if not isinstance(source, SplitSource) or not source.least_part:
        return 1
    most = count_sharing_workers(services, spec, source.collection)
    if spec.populate.parallel != "auto":
        return most
    if way == "copy":
        most = min(most, source.size() // LEAST_COPIED)
    return limit_parts(source, most)


def count_sharing_workers(services: Services, spec: IndexSpec, read: str | None) -> int:
    """Returns how many workers may share the work for one index now, in which they ``read`` a
    collection; as many as are declared, if that is a number. Of a rate limit each process would use
    the part that one may use, so then it is one."""
    if read is not None and services.store.limits(read).read_rate_limit is not None:
        return 1
    if spec.populate.parallel != "auto":
        return spec.populate.parallel
    if services.store.server().embedded:
        return 1
    with services.sessions() as session:
        children = workers.count_children(session, services.clock.now(session), due_slices.QUEUE)
    return min(MOST_SLICES, int(children * spec.populate.bulk_share))


def read_slices(context: StepContext, count: int) -> tuple[list[SliceRow], datetime]:
    """Returns the last so many slices of the deployment in the order of their numbers, and the
    time."""
    query = select(SliceRow).where(SliceRow.deployment_id == context.deployment.id)
    with context.services.sessions() as session:
        rows = list(session.scalars(query.order_by(SliceRow.number.desc()).limit(count)))
        return rows[::-1], context.services.clock.now(session)


def is_in_hand(row: SliceRow, now: datetime) -> bool:
    """Returns whether a worker has the slice, or has had it and waits for a server."""
    if row.status != SliceStatus.FILLING:
        return False
    return bool(row.waited) or (row.lease_until is not None and row.lease_until >= now)


def _add_up(state: FillState, rows: Sequence[SliceRow], states: Sequence[FillState]) -> FillState:
    counts: dict[str, Any] = {
        name: _add_known([getattr(one, name) for one in states]) for name in _COUNTS
    }
    samples = [text for one in states for text in one.bad_samples or ()]
    return replace(
        state,
        **counts,
        bad_samples=samples[:_BAD_SAMPLES],
        by_vector=_add_by_vector([one.by_vector for one in states if one.by_vector is not None]),
        progress=_measure_progress(rows, states),
    )


def _add_known(counts: Sequence[int | None]) -> int | None:
    """Returns None if none of them is known: this way of filling does not count it."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _add_by_vector(
    counts: Sequence[Mapping[str, Mapping[str, int]]],
) -> dict[str, dict[str, int]] | None:
    if not counts:
        return None
    added: dict[str, dict[str, int]] = {}
    for one in counts:
        for vector, by_kind in one.items():
            of_vector = added.setdefault(vector, {})
            for kind, number in by_kind.items():
                of_vector[kind] = of_vector.get(kind, 0) + number
    return added


def _measure_progress(rows: Sequence[SliceRow], states: Sequence[FillState]) -> Progress | None:
    known = [(row, one.progress) for row, one in zip(rows, states, strict=True) if one.progress]
    if not known:
        return None
    filling = [each.rate or 0 for row, each in known if row.status == SliceStatus.FILLING]
    return Progress(
        done=sum(each.done - int((row.start or {}).get("done", 0)) for row, each in known),
        size=max(each.size for _, each in known),
        unit=known[0][1].unit,
        rate=round(sum(filling), 1),
        records=_add_known([each.records for _, each in known]),
    )


def describe_failure(rows: Sequence[SliceRow]) -> str:
    """Returns why the first of the slices that failed did so; empty if none did."""
    for row in rows:
        if row.status == SliceStatus.FAILED:
            return f"slice {row.number + 1} of {rows[-1].number + 1}: {row.message}"
    return ""


def _why_rejected(context: StepContext, state: FillState) -> str:
    most = context.deployment.spec.max_bad_records
    if (state.bad or 0) > most:
        last = (state.bad_samples or [""])[-1]
        return f"more than max_bad_records={most} bad records; one of them: {last}"
    return ""


def _finish(context: StepContext, rows: Sequence[SliceRow], state: FillState) -> Outcome:
    if reading.open_deployment_source(context).fingerprint() != state.fingerprint:
        return Reject(f"{context.deployment.source} changed while it was being read; deploy again")
    written = state.written or 0
    if not written:
        return Reject(f"{context.deployment.source} gave no record that could be written")
    if any(row.unsure for row in rows) and journaled.uses_journal(context):
        journaled.await_late_writes(context)
    found = context.services.store.count(context.deployment.green)
    # A copy is cut by ids, so no id is in two slices. Applications may delete points meanwhile.
    if found >= written or state.way == "copy":
        context.save(replace(state, filled=True))
        return Wait(0, _describe(rows, state))
    note = (
        f"filled again in one pass: the slices wrote {written:,} points and the collection has "
        f"{found:,}, so an id is in several of them"
    )
    begun = FillState(
        way=state.way,
        fingerprint=state.fingerprint,
        begun=state.begun,
        left_out=state.left_out,
        note=note,
        refilled=True,
    )
    context.save(begun)
    return Wait(0, note)


def _describe(rows: Sequence[SliceRow], state: FillState) -> str:
    done = sum(row.status == SliceStatus.DONE for row in rows)
    rate = state.progress.rate if state.progress else None
    filled = f"{state.read or 0:,} records"
    if state.way == "copy":
        filled = f"{state.written or 0:,} points"
    told = f"{done} of {len(rows)} slices filled, {filled}, {rate or 0:,.0f}/s"
    return "; ".join(filter(None, (told, describe_waiting(rows))))


def describe_waiting(rows: Sequence[SliceRow]) -> str:
    """Returns what the first of the slices that wait is waiting for; empty if none does."""
    for row in rows:
        if row.waited:
            return f"slice {row.number + 1} waits: {row.message}"
    return ""
