"""Says whether applications wrote to blue what green does not have, so that nobody believes that it
was brought over.

Rule: a write counts if blue's point has changed since the deployment began, and green's point is
another one now. So what the source has brought over does not count. With ``compare`` and
``journal`` both collections are compared anyway, and no sample is needed. Nothing that fails here
stops a deployment.
"""

from collections.abc import Sequence
from dataclasses import replace

from qdrant_rollouts.core.collections import foreign
from qdrant_rollouts.core.collections.foreign import ForeignWrites, Sample
from qdrant_rollouts.core.deployments.plan import Hold, Outcome, StepContext, Wait
from qdrant_rollouts.core.deployments.steps.data import CreatedGreen, Switched, SwitchState
from qdrant_rollouts.core.deployments.steps.listed_ids import join_ids, keep_first
from qdrant_rollouts.core.errors import Refused, Unavailable
from qdrant_rollouts.core.ports import PointId


def sample_blue(context: StepContext) -> Sample | None:
    """Returns a sample of blue, before anything is built. None if nobody can write to it, or if a
    comparison finds every write."""
    deployment = context.deployment
    store = context.services.store
    if deployment.blue is None or deployment.spec.writes.leads_live:
        return None
    if store.server().embedded:
        return None
    try:
        return foreign.take_sample(store, deployment.blue)
    except (Refused, Unavailable) as error:
        return Sample(fault=str(error))


def look_before_switch(context: StepContext) -> Outcome | None:
    """Looks once, in a turn of its own. Returns None if the switch may go on."""
    created = context.outputs.find(CreatedGreen)
    if created is None or created.blue_sample is None:
        return None
    state = context.load(SwitchState)
    if state.foreign is None:
        state = replace(state, foreign=_look(context, created.blue_sample))
        context.save(state, progress=True)
    elif state.approved_by is not None or not _must_hold(context, state):
        return None
    assert state.foreign is not None
    told = describe_writes(context.deployment.blue, state.foreign)
    if _must_hold(context, state):
        return Hold(f"{told}; promote switches anyway")
    return Wait(0, told or f"nobody wrote to {context.deployment.blue} beside the deployment")


def sample_again(context: StepContext) -> Sample | None:
    """Returns blue's sample right before the switch, to which the soak compares."""
    created = context.outputs.find(CreatedGreen)
    blue = context.deployment.blue
    if created is None or created.blue_sample is None or blue is None:
        return None
    before = created.blue_sample
    store = context.services.store
    try:
        found = foreign.fetch_digests(store, blue, list(before.unpack()))
        return foreign.pack_sample(store.count(blue), found)
    except (Refused, Unavailable):
        return None


def look_after_switch(context: StepContext) -> str:
    """Returns what was written to blue although the alias led to green, in words; empty if nothing
    was."""
    switched = context.outputs.find(Switched)
    blue = context.deployment.blue
    if switched is None or switched.blue_sample is None or blue is None:
        return ""
    before = switched.blue_sample.unpack()
    try:
        now = foreign.fetch_digests(context.services.store, blue, list(before))
    except (Refused, Unavailable):
        return ""
    ids = foreign.list_differing(before, now)
    if not ids:
        return ""
    share = _describe_share(len(before), switched.blue_sample.points)
    return f"{len(ids):,} of {share} were written after the switch: {join_ids(ids)}"


def describe_writes(blue: str | None, found: ForeignWrites) -> str:
    """Returns what was found, in words; empty if everything was looked at and nothing found."""
    if found.fault:
        return f"nobody knows what was written to {blue} meanwhile: {found.fault}"
    if found.added is not None and not found.count:
        return ""
    counts = [f"{found.changed:,} changed", f"{found.deleted:,} deleted"]
    counts += [f"{found.added:,} new"] if found.added is not None else []
    told = f"points of {blue} that green does not have as they are now: {', '.join(counts)}"
    told += f", of {_describe_share(found.sampled, found.points)}"
    if found.added is None:
        told += f". New points cannot be sampled: it had {found.points:,} and has {found.now:,}"
    if found.ids:
        told += f". Ids: {join_ids(found.ids)}"
    return told


def _must_hold(context: StepContext, state: SwitchState) -> bool:
    seen = state.foreign is not None and state.foreign.count > 0
    return seen and context.deployment.spec.writes.refuses_foreign


def _look(context: StepContext, sample: Sample) -> ForeignWrites:
    if sample.fault:
        return ForeignWrites(points=sample.points, fault=sample.fault)
    try:
        return _compare_with_sample(context, sample)
    except (Refused, Unavailable) as error:
        return ForeignWrites(points=sample.points, fault=str(error))


def _compare_with_sample(context: StepContext, sample: Sample) -> ForeignWrites:
    store = context.services.store
    blue = context.deployment.blue
    assert blue is not None
    before = sample.unpack()
    whole = len(before) >= sample.points
    count = store.count(blue)
    now = (
        foreign.scroll_digests(store, blue)
        if whole and count <= 2 * foreign.MOST
        else foreign.fetch_digests(store, blue, list(before))
    )
    ids = _keep_missing(context, foreign.list_differing(before, now))
    return ForeignWrites(
        sampled=len(before),
        points=sample.points,
        now=count,
        added=sum(id not in before for id in ids) if whole else None,
        changed=sum(id in before and id in now for id in ids),
        deleted=sum(id not in now for id in ids),
        ids=keep_first(ids),
    )


def _keep_missing(context: StepContext, ids: Sequence[PointId]) -> list[PointId]:
    """Returns those points that differ between blue and green."""
    deployment = context.deployment
    store = context.services.store
    assert deployment.blue is not None
    theirs = foreign.fetch_digests(store, deployment.blue, ids)
    ours = foreign.fetch_digests(store, deployment.green, ids)
    return [id for id in ids if theirs.get(id) != ours.get(id)]


def _describe_share(sampled: int, points: int) -> str:
    if sampled >= points:
        return f"all {points:,} points"
    return f"a sample of {sampled:,} of {points:,} points ({sampled / points:.2%})"
