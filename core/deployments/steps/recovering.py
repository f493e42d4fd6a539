"""A backup becomes a collection again: its files are checked, sent to the server, and what came of
it is compared with what the manifest remembers. For a restore that collection is green; for a
verification it is dropped again. A deployment whose source is a backup has it beside green, from
``unpack`` to ``discard``.

The settings come out of the snapshot, not out of the manifest, so that comparing the two proves
something.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from qdrant_rollouts.core.collections import digests, manifests
from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.collections.filling import Filling
from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.collections.schema import (
    list_differences,
    main_vector,
    without_strict_mode,
)
from qdrant_rollouts.core.collections.stamps import Stamp, foreign_metadata
from qdrant_rollouts.core.database.step_data import UNSET, StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import limiting, unused
from qdrant_rollouts.core.deployments.steps.backing import PATIENCE_CHECKS
from qdrant_rollouts.core.deployments.steps.data import ComparedBackup, RecoveredGreen, RecoverState
from qdrant_rollouts.core.deployments.steps.long import stream_with_progress
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import SearchParams, Snapshot
from qdrant_rollouts.core.sanitize.quoting import quote_value

_CHECK_SECONDS = 1.0
_MOST_UPLOADS = 3
#: Bytes a second that a server unpacks at least.
_SLOWEST_BYTES = 10 << 20
_EXAMPLES = 5


# --- recover --------------------------------------------------------------------------------------


def recover_backup(context: StepContext) -> Outcome:
    """Sent in one turn, looked at in the next. Safe to run twice: what an earlier try has begun is
    taken if it appears, and the same bytes sent again make the same collection, which nothing
    serves from yet."""
    state = context.load(RecoverState)
    return _PHASES[state.phase](context, state, _read_manifest(context))


def undo_recovery(context: StepContext) -> Outcome:
    """Drops the collection if this run has begun to make it and no alias or route leads to it. One
    that was sent and is not there yet is waited for, for a while."""
    collection = _target_collection(context)
    state = context.load(RecoverState)
    if not state.phase:
        return Done(StepOutput(summary=f"{collection} was never begun"))
    if collection not in context.services.store.collections():
        if not state.made and state.undo_looks < _checks_allowed(state):
            context.save(replace(state, undo_looks=state.undo_looks + 1))
            return Wait(_CHECK_SECONDS, f"waiting whether {collection} still appears, to drop it")
        return Done(StepOutput(summary=f"{collection} is gone"))
    with suppress(Refused):  # a backup that is damaged or gone does not tell what was sent
        _drop_sent_snapshots(context, _read_manifest(context))
    return unused.drop_unused(context, collection)


def discard(context: StepContext) -> Outcome:
    """Drops what was recovered only to be looked at. Safe to run twice: gone is done."""
    collection = _target_collection(context)
    if collection not in context.services.store.collections():
        return Done(StepOutput(summary=f"{collection} is gone"))
    return unused.drop_unused(context, collection)


def finish_verification(context: StepContext) -> Outcome:
    """The end of a verification. Safe to run twice: gone is done."""
    dropped = discard(context)
    return (
        dropped
        if isinstance(dropped, Reject)
        else Done(StepOutput(summary=_describe_verification(context)))
    )


def _check_backup(context: StepContext, state: RecoverState, manifest: Manifest) -> Outcome:
    damaged = manifests.find_damage(
        context.services.shelf,
        manifest,
        partial(stream_with_progress, context, state, manifest.size),
    )
    if damaged:
        return Reject(
            f"backup {manifest.id} is damaged: {damaged}. Take another one: `rollouts backup list`"
        )
    if _target_collection(context) in context.services.store.collections():
        return Reject(
            f"collection {_target_collection(context)} exists and is not of this run; ask again"
        )
    foreign_metadata(
        manifest.metadata, manifest.collection
    )  # a stamp is written over what else would stand there
    context.save(replace(state, phase="upload"))
    return Wait(0, f"{manifest.size:,} bytes are as they were written")


def _upload_backup(context: StepContext, state: RecoverState, manifest: Manifest) -> Outcome:
    """One request, sent anew after a crash, unless what was sent appears within its time. One that
    lost its turn must not go on sending: the collection may serve by the time it is done."""
    store = context.services.store
    collection = _target_collection(context)
    if manifest.sharded:
        return _upload_shard(context, state, manifest)
    if collection not in store.collections():
        if state.uploads >= _MOST_UPLOADS:
            return Reject(
                f"{collection} did not appear after {state.uploads} uploads; look into the "
                "server's log"
            )
        # Before it is sent: after a crash the server may be unpacking it, and refuses the same name
        # again.
        state = replace(state, patience=_estimate_patience(manifest), phase="look", looks=0)
        context.save(state)
        _send_file(context, state, manifest, manifest.files[0])
        state = replace(
            state, uploads=state.uploads + 1
        )  # one that was cut short says nothing of the server
    context.save(replace(state, phase="look", looks=0))
    return Wait(_CHECK_SECONDS, f"{manifest.size:,} bytes sent")


def _upload_shard(context: StepContext, state: RecoverState, manifest: Manifest) -> Outcome:
    """On a cluster the collection is made first, and each shard filled where it lies now. Sent
    again after a crash, a shard has the same points."""
    store = context.services.store
    collection = _target_collection(context)
    sent = state.sent
    if collection not in store.collections():
        context.turn.check(ACT_SECONDS)
        metadata = {
            **foreign_metadata(manifest.metadata, manifest.collection),
            **_stamp_recovered(context, manifest).as_metadata(),
        }
        store.create(collection, without_strict_mode(manifest.schema), metadata)
        sent = 0
    _send_file(context, state, manifest, manifest.files[sent])
    state = replace(state, sent=sent + 1, patience=_estimate_patience(manifest))
    if sent + 1 < len(manifest.files):
        context.save(state)
        return Wait(0, f"{sent + 1} of {len(manifest.files)} shards sent")
    context.save(replace(state, phase="look", looks=0, sent=0))
    return Wait(_CHECK_SECONDS, f"{manifest.size:,} bytes sent")


def _send_file(
    context: StepContext, state: RecoverState, manifest: Manifest, file: dict[str, Any]
) -> None:
    wanted = Snapshot(str(file["name"]), int(file["size"]), str(file["sha256"]), file.get("shard"))
    kept = context.services.shelf.read(manifest.id, wanted.name)
    pieces = stream_with_progress(context, state, wanted.size, kept)
    context.services.store.upload_snapshot(_target_collection(context), wanted, pieces)


def _await_collection(context: StepContext, state: RecoverState, manifest: Manifest) -> Outcome:
    """There when two looks in a row show a count that the collection had while its snapshot was
    made."""
    store = context.services.store
    collection = _target_collection(context)
    looks = state.looks + 1
    if collection not in store.collections():
        phase = "upload" if looks >= _checks_allowed(state) else "look"
        context.save(replace(state, looks=looks, phase=phase))
        return Wait(_CHECK_SECONDS, f"waiting for {collection} to appear", progress=False)
    found = store.count(collection)
    moved = found != state.found
    state = replace(state, made=True, found=found, looks=0 if moved else looks)
    context.save(state)
    if not moved and manifest.low <= found <= manifest.high:
        return _finish_recovery(context, state, manifest, found)
    if looks >= PATIENCE_CHECKS and not moved:
        return Reject(
            f"{collection} has {found:,} points, the backup was made of {_describe_count(manifest)}"
        )
    return Wait(
        _CHECK_SECONDS, f"recovering: {found:,} of {manifest.high:,} points", progress=moved
    )


def _checks_allowed(state: RecoverState) -> int:
    """Looks, one a second, until a collection that was sent must be there: the server unpacks it
    first."""
    return PATIENCE_CHECKS if state.patience is None else state.patience


def _estimate_patience(manifest: Manifest) -> int:
    return PATIENCE_CHECKS + manifest.size // _SLOWEST_BYTES


def _finish_recovery(
    context: StepContext, state: RecoverState, manifest: Manifest, found: int
) -> Outcome:
    _drop_sent_snapshots(context, manifest)
    strict = _remember_strict_mode(context, state, manifest)
    limiting.lift_strict_mode(context, _target_collection(context))
    stamp = _stamp_recovered(context, manifest)
    context.services.store.set_metadata(_target_collection(context), stamp.as_metadata())
    return Done(
        RecoveredGreen(
            summary=f"{found:,} points of backup {manifest.id}",
            collection=_target_collection(context),
            schema=manifest.schema,
            strict=strict,
            vector=stamp.vector,
            filled=Filling(way="backup", backup=manifest.id, expected=found, written=found),
        )
    )


def _remember_strict_mode(
    context: StepContext, state: RecoverState, manifest: Manifest
) -> dict[str, Any] | None:
    """The strict mode that came out of the snapshot, written down before it is switched off. On a
    cluster the collection was made without one.
    """
    if state.strict is not UNSET:
        return state.strict
    found = (
        manifest.schema
        if manifest.sharded
        else context.services.store.schema(_target_collection(context))
    )
    strict: dict[str, Any] | None = found.get("strict_mode_config")
    context.save(replace(state, strict=strict))
    return strict


def _drop_sent_snapshots(context: StepContext, manifest: Manifest) -> None:
    """The server keeps each file that it was sent as a snapshot of the collection, even when that
    is gone (measured on 1.16.3)."""
    for file in manifest.files:
        context.services.store.drop_snapshot(_target_collection(context), str(file["name"]))


def _target_collection(context: StepContext) -> str:
    """The collection it becomes: green, unless the plan names another."""
    return str(context.arguments.get("collection", context.deployment.green))


def _stamp_recovered(context: StepContext, manifest: Manifest) -> Stamp:
    """What the snapshot says of the model stays; whose the collection is, changes."""
    deployment = context.deployment
    known = Stamp.of(manifest.metadata)
    ours: dict[str, Any] = {
        "deployment": deployment.id,
        "alias": deployment.alias,
        "number": deployment.number,
    }
    if known is not None:
        return replace(known, **ours)
    return Stamp(**ours, vector=main_vector(manifest.schema))


_PHASES = {"": _check_backup, "upload": _upload_backup, "look": _await_collection}


# --- compare --------------------------------------------------------------------------------------


def compare_with_manifest(context: StepContext) -> Outcome:
    """Safe to run twice: it only looks."""
    manifest = _read_manifest(context)
    store = context.services.store
    green = context.deployment.green
    count = store.count(green)
    faults = (
        []
        if manifest.low <= count <= manifest.high
        else [f"{count:,} points instead of {_describe_count(manifest)}"]
    )
    strict = context.outputs.get(RecoveredGreen).strict
    if strict is UNSET:
        strict = store.schema(green).get("strict_mode_config")
    faults += list_differences(
        manifest.schema, {**store.schema(green), "strict_mode_config": strict}
    )
    faults += _find_changed_points(context, manifest)
    answered, silent = _ask_queries(context)
    faults += silent
    told = f"{count:,} points, {len(manifest.sample)} of them compared, settings equal"
    told += f", {answered} queries answered" if answered else ""
    summary = "" if faults else told
    figures = ComparedBackup(
        summary=summary, count=count, sampled=len(manifest.sample), queries=answered, faults=faults
    )
    if faults:
        return Reject(
            f"backup {manifest.id} is not what its manifest says: {'; '.join(faults)}", figures
        )
    return Done(figures)


def _find_changed_points(context: StepContext, manifest: Manifest) -> list[str]:
    """A sample that is empty, though there were points, proves nothing."""
    if not manifest.sample:
        return ["no point was remembered to compare with"] if manifest.high else []
    wanted = dict(manifest.sample)
    found = digests.digest_points(
        context.services.store.fetch(context.deployment.green, list(wanted), vectors=True)
    )
    wrong = [str(id) for id, digest in wanted.items() if found.get(id) != digest]
    if not wrong:
        return []
    return [
        f"{len(wrong)} of {len(wanted)} points are missing or changed, such as "
        f"{', '.join(wrong[:_EXAMPLES])}"
    ]


def _ask_queries(context: StepContext) -> tuple[int, list[str]]:
    """How many of the index's queries were asked, and those that found less than they must."""
    spec = context.deployment.spec
    recovered = context.outputs.get(RecoveredGreen)
    if not spec.models or not spec.validation.queries:
        return 0, []
    embedder = context.services.embedder(spec.models[0])
    rules = spec.validation
    made_with = Stamp.of(_read_manifest(context).metadata)
    if made_with is None or made_with.identity != embedder.identity:
        return 0, []  # in a query of another model nothing is told of what was restored
    silent = []
    for query in rules.queries:
        hits = context.services.store.search(
            context.deployment.green,
            embedder.query(query),
            rules.min_results,
            SearchParams(using=recovered.vector),
        )
        if len(hits) < min(rules.min_results, recovered.filled.expected or 0):
            silent.append(f"query {quote_value(query)} found {len(hits)} of {rules.min_results}")
    return len(rules.queries), silent


def _describe_verification(context: StepContext) -> str:
    return f"verified: {context.outputs.get(ComparedBackup).summary}"


def _read_manifest(context: StepContext) -> Manifest:
    """Raises Refused if it is damaged or gone."""
    return manifests.read_manifest(context.services.shelf, str(context.arguments["backup"]))


def _describe_count(manifest: Manifest) -> str:
    return (
        f"{manifest.low:,}"
        if manifest.low == manifest.high
        else f"{manifest.low:,} to {manifest.high:,}"
    )
