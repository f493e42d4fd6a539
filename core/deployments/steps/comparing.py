"""Catches up by comparison: both collections are compared in the order of their ids, and what
differs is made again from the leading one. Nothing is asked of the applications that write.

Rule: what is written behind the comparison is found by the next round. So rounds get shorter until
the last one is short enough to be done while the leading collection refuses writes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.merging import BucketDigests, Side, compare_page
from qdrant_rollouts.core.collections.origins import digest_origin
from qdrant_rollouts.core.collections.stamps import read_stamp
from qdrant_rollouts.core.collections.vectors import read_plan
from qdrant_rollouts.core.config.index_file import IndexSpec
from qdrant_rollouts.core.database.models import Version
from qdrant_rollouts.core.deployments.plan import StepContext
from qdrant_rollouts.core.deployments.steps import reading
from qdrant_rollouts.core.deployments.steps.data import CaughtUp, CreatedGreen, RoundState
from qdrant_rollouts.core.deployments.steps.direction import goes_back
from qdrant_rollouts.core.deployments.steps.followers import (
    CopyFollower,
    Follower,
    RecordFollower,
    apply_changes,
    check_bad_records,
    finish_all,
)
from qdrant_rollouts.core.deployments.steps.losses import are_many_gone
from qdrant_rollouts.core.deployments.steps.pieces import GoesOn, do_pages
from qdrant_rollouts.core.deployments.way_back import build_command
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence.opening import existing_plan
from qdrant_rollouts.core.ports import Point, PointId, VectorStore
from qdrant_rollouts.core.services import Services

#: Ways of filling by which a version has the points of the one before.
_COPIES = ("copy", "snapshot")


def open_follower(context: StepContext, *, begun: bool = False) -> Follower:
    """Returns green as the follower of the collection that its records come from. Green that exists
    already is a version of its own; it follows blue. ``begun``: a round has been done. From then on
    green is like blue, and what it has more was deleted, or was written to it as it serves."""
    deployment = context.deployment
    services = context.services
    leader = name_leader(context)
    way = _way_of_filling(context)
    if way is None:
        alike = begun or context.outputs.find(CaughtUp) is not None
        may_lack = alike and not goes_back(context)
        return _open_version(context, leader, deployment.green, may_lack=may_lack)
    if way != "records":
        return CopyFollower(services.store, leader, deployment.green)
    created = context.outputs.get(CreatedGreen)
    plan = read_plan(deployment.spec, created.vectors, created.vector)
    return RecordFollower(services, plan, leader, deployment.green, reuse_from=deployment.blue)


def name_leader(context: StepContext) -> str:
    """Returns the collection that green follows."""
    deployment = context.deployment
    leader = deployment.blue
    if deployment.source is not None:
        leader = reading.open_deployment_source(context).collection
    assert leader is not None
    return leader


def open_way_back(context: StepContext) -> Follower:
    """Returns blue as the follower of green, after the switch. Raises Refused if blue had better
    stay as it is."""
    deployment = context.deployment
    assert deployment.blue is not None
    store = context.services.store
    if _way_of_filling(context) in (None, "records"):
        return _open_version(context, deployment.green, deployment.blue)
    _check_not_emptied(context, deployment.green, deployment.blue)
    return CopyFollower(store, deployment.green, deployment.blue)


def is_filled_here(context: StepContext) -> bool:
    """Returns whether this deployment has filled green. Otherwise green is an older version."""
    return _way_of_filling(context) is not None


def _way_of_filling(context: StepContext) -> str | None:
    """Returns how green was filled; None if it is an older version, which this deployment did not
    fill."""
    filled = context.outputs.find(Filling)
    return filled.way if filled is not None else None


def _open_version(
    context: StepContext, leader: str, follower: str, *, may_lack: bool = False
) -> Follower:
    """Returns a version that may have served as the follower. Raises Refused if nobody knows how
    its vectors are made, if that is not possible any more, or if it would lose much, unless the
    leader ``may_lack`` points."""
    if not may_lack:
        _check_not_emptied(context, leader, follower)
    copied = _open_copied(context, leader, follower)
    if copied is not None:
        return copied
    try:
        return open_version(context.services, context.deployment.spec, leader, follower)
    except Refused as error:
        raise Refused(f"{error}; {_way_out(context, leader)}") from error


def _open_copied(context: StepContext, leader: str, follower: str) -> CopyFollower | None:
    """Returns an older version without a stamp as the follower of the one that was copied from it.
    Nobody wrote down how its vectors are made, and nobody need know: both have the same ones. None
    for all others."""
    store = context.services.store
    if read_stamp(store, follower) is not None:
        return None
    with context.services.sessions() as session:
        row = session.get(Version, leader)
        if row is None or row.parent != follower or row.facts.get("way") not in _COPIES:
            return None
    return CopyFollower(store, leader, follower)


def open_version(services: Services, spec: IndexSpec, leader: str, follower: str) -> Follower:
    """Returns a version that may have served as the follower. Raises Refused if nobody knows how
    its vectors are made, or if that is not possible any more."""
    if read_stamp(services.store, follower) is None:
        raise Refused(
            f"nobody wrote down how the vectors of {follower} are made, so it cannot get what was "
            f"written to {leader}"
        )
    plan = existing_plan(services, follower, spec)
    return RecordFollower(
        services, plan, leader, follower, reuse_from=follower, compares_payloads=True
    )


def _check_not_emptied(context: StepContext, leader: str, follower: str) -> None:
    """As ``check_not_emptied``, for a step. The journal knows which points were deleted."""
    if context.deployment.spec.writes.way == "journal":
        return
    try:
        check_not_emptied(context.services.store, leader, follower)
    except Refused as error:
        raise Refused(f"{error}; {_way_out(context, leader)}") from error


def check_not_emptied(store: VectorStore, leader: str, follower: str) -> None:
    """Raises Refused if the leader has far fewer points than the follower. It may have lost them,
    and then the follower is the only place where they are."""
    ours = store.count(follower)
    theirs = store.count(leader)
    if are_many_gone(ours - theirs, ours):
        raise Refused(
            f"{leader} has {theirs:,} points and {follower} has {ours:,}: points may be lost, and "
            f"{follower} would lose them too"
        )


def _way_out(context: StepContext, leader: str) -> str:
    deployment = context.deployment
    if not goes_back(context) and leader == deployment.blue:
        return f"deploy {deployment.green} with `writes: none` to serve it as it is"
    command = build_way_at_once(context)
    return f"`{command}` goes back without what was written to {leader} since"


def build_way_at_once(context: StepContext) -> str:
    """Returns the command for a rollback that waits for nothing: to where this one leads, if it is
    one."""
    deployment = context.deployment
    named = ("--to", deployment.green) if goes_back(context) else ()
    return build_command(deployment.alias, *named, "--now")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A follower, and what its comparison with the leader needs. ``check`` raises if whoever
    compares may not write for so many seconds more; ``on_bad_record`` is that of the index file.
    ``within_pages``: it may also stop in the middle of a page, because a slow model needs longer
    than a turn for a page. Then the leader's digests are not kept. ``end``: the id before which the
    comparison ends."""

    store: VectorStore
    follower: Follower
    check: Callable[[float], None]
    on_bad_record: str
    within_pages: bool = False
    end: PointId | None = None


def in_turn(context: StepContext, follower: Follower, end: PointId | None = None) -> Comparison:
    """Returns the comparison that a step, or a slice of it, makes in its turn."""
    return Comparison(
        context.services.store,
        follower,
        context.turn.check,
        context.deployment.spec.on_bad_record,
        end=end,
    )


def compare_piece(
    comparison: Comparison, current: RoundState, goes_on: GoesOn
) -> tuple[RoundState, bool]:
    """Compares pages, and writes what differs, as long as ``do_pages`` does. Returns the round, and
    whether there is more of it."""
    started = time.monotonic()
    store = comparison.store
    follower = comparison.follower
    seen = BucketDigests(current.leader)

    def compare_and_write(moved: RoundState) -> tuple[RoundState, bool]:
        store.pace(follower.leading.collection)
        found = compare_page(
            store, follower.leading, follower.following, moved.position, comparison.end
        )
        changed = apply_changes(
            store,
            follower,
            found.ids,
            check=comparison.check,
            goes_on=goes_on if comparison.within_pages else finish_all,
        )
        check_bad_records(changed, comparison.on_bad_record)
        seen.add(found.leading)
        whole = changed.stopped_at is None
        position = found.following if whole else changed.stopped_at
        moved = replace(
            moved,
            position=position,
            checked=moved.checked + (found.checked if whole else 0),
            made=moved.made + changed.made,
            deleted=moved.deleted + changed.deleted,
            bad=moved.bad + len(changed.bad),
        )
        return moved, position is not None

    moved, more = do_pages(current, compare_and_write, goes_on)
    leader = "" if comparison.within_pages else seen.as_text()
    seconds = current.seconds + time.monotonic() - started
    return replace(moved, leader=leader, seconds=seconds), more


def open_payloads(context: StepContext) -> tuple[Side, Side]:
    """Returns blue and green by their payloads alone. No model is needed for that."""
    deployment = context.deployment
    assert deployment.blue is not None

    def digest(point: Point) -> str:
        return digest_origin(point.payload)

    return Side(deployment.blue, digest), Side(deployment.green, digest)


def list_piece(
    context: StepContext,
    sides: tuple[Side, Side],
    current: RoundState,
    goes_on: GoesOn,
) -> tuple[RoundState, list[PointId], bool]:
    """As ``compare_piece``, but writes nothing: ``made`` counts what differs. Returns also the ids
    that differ."""
    store = context.services.store
    ids: list[PointId] = []

    def list_differing(current: RoundState) -> tuple[RoundState, bool]:
        store.pace(sides[0].collection)
        found = compare_page(store, *sides, current.position)
        ids.extend(found.ids)
        moved = replace(
            current,
            position=found.following,
            checked=current.checked + found.checked,
            made=current.made + len(found.ids),
        )
        return moved, found.following is not None

    current, more = do_pages(current, list_differing, goes_on)
    return current, ids, more
