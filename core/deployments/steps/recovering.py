"""Turns a backup into a collection: checks the files, sends them to the server, and compares the
result with the manifest. For a restore, this collection is green. For a verification, it is dropped
again. If a backup is the source of a deployment, the collection exists beside green from ``unpack``
to ``discard``.

The settings come from the snapshot, not from the manifest, so that comparing the two proves
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
from qdrant_rollouts.core.collections.same_model import unknown_vectors
from qdrant_rollouts.core.collections.schema import (
    list_differences,
    main_vector,
    without_strict_mode,
)
from qdrant_rollouts.core.collections.stamps import Stamp, foreign_metadata
from qdrant_rollouts.core.database.step_data import UNSET, StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import limiting, unused
from qdrant_rollouts.core.deployments.steps.backup_data import (
    ComparedBackup,
    RecoveredGreen,
    RecoverState,
)
from qdrant_rollouts.core.deployments.steps.backup_snapshot import PATIENCE_CHECKS
from qdrant_rollouts.core.deployments.steps.long import stream_with_progress
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import SearchParams, Snapshot
from qdrant_rollouts.core.sanitize.quoting import quote_value

_CHECK_SECONDS = 1.0
_MOST_UPLOADS = 3
#: A server unpacks at least this many bytes per second.
_SLOWEST_BYTES = 10 << 20
_EXAMPLES = 5


# --- recover --------------------------------------------------------------------------------------


def recover_backup(context: StepContext) -> Outcome:
    """Recovers the backup: one turn sends it, and the next turn checks it. Safe to run twice: if
    the result of an earlier try appears, it is used. The same bytes sent again make the same
    collection, and no search uses it yet."""
    state = context.load(RecoverState)
    return _PHASES[state.phase](context, state, _read_manifest(context))


def undo_recovery(context: StepContext) -> Outcome:
    """Drops the collection if this run has begun to make it, no alias or route leads to it, and no
    experiment compares it. If it was sent and does not exist yet, the step waits for it for a
    limited time."""
    collection = _target_collection(context)
    state = context.load(RecoverState)
    if not state.phase:
        return Done(StepOutput(summary=f"{collection} was never begun"))
    if collection not in context.services.store.collections():
        if not state.made and state.undo_looks < _checks_allowed(state):
            context.save(replace(state, undo_looks=state.undo_looks + 1))
            return Wait(_CHECK_SECONDS, f"waiting to see whether {collection} appears, to drop it")
        return Done(StepOutput(summary=f"{collection} is gone"))
    with suppress(Refused):  # a backup that is damaged or gone does not say what was sent
        _drop_sent_snapshots(context, _read_manifest(context))
    return unused.drop_unused(context, collection)


def discard(context: StepContext) -> Outcome:
    """Drops a collection that was recovered only to be read. Safe to run twice: a collection that
    is gone counts as dropped."""
    collection = _target_collection(context)
    if collection not in context.services.store.collections():
        return Done(StepOutput(summary=f"{collection} is gone"))
    return unused.drop_unused(context, collection)


def finish_verification(context: StepContext) -> Outcome:
    """Ends a verification. Safe to run twice: a collection that is gone counts as dropped."""
    dropped = discard(context)
    if isinstance(dropped, Reject):
        return dropped
    return Done(StepOutput(summary=_describe_verification(context)))


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
    # This refuses metadata that the stamp would overwrite.
    foreign_metadata(manifest.metadata, manifest.collection)
    context.save(replace(state, phase="upload"))
    return Wait(0, f"{manifest.size:,} bytes are as they were written")


def _upload_backup(context: StepContext, state: RecoverState, manifest: Manifest) -> Outcome:
    """Sends the backup in one request. After a crash it is sent again, unless the collection
    appears in time. A worker that has lost its turn must stop sending, because the collection may
    serve before it is done."""
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
        # This is saved before the backup is sent: after a crash the server may still be unpacking
        # it, and then refuses the same name.
        state = replace(state, patience=_estimate_patience(manifest), phase="look", looks=0)
        context.save(state)
        _send_file(context, state, manifest, manifest.files[0])
        # Only a complete upload counts: an interrupted one says nothing about the server.
        state = replace(state, uploads=state.uploads + 1)
    context.save(replace(state, phase="look", looks=0))
    return Wait(_CHECK_SECONDS, f"{manifest.size:,} bytes sent")


def _upload_shard(context: StepContext, state: RecoverState, manifest: Manifest) -> Outcome:
    """Sends one shard. On a cluster the collection is made first, and then each shard is filled on
    the node where it is now. A shard that is sent again after a crash has the same points."""
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
    """Ends the recovery when two looks in a row find the same number of points, and the collection
    had that number while its snapshot was made."""
    store = context.services.store
    collection = _target_collection(context)
    looks = state.looks + 1
    if collection not in store.collections():
        phase = "look"
        if looks >= _checks_allowed(state):
            phase = "upload"
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
    """Returns how many looks, one per second, may pass until the collection must exist: the server
    must unpack it first."""
    if state.patience is None:
        return PATIENCE_CHECKS
    return state.patience


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
    """Returns the strict mode that the snapshot had; it is saved before it is switched off. On a
    cluster the collection was made without it, so the manifest's is used."""
    if state.strict is not UNSET:
        return state.strict
    if manifest.sharded:
        found = manifest.schema
    else:
        found = context.services.store.schema(_target_collection(context))
    strict: dict[str, Any] | None = found.get("strict_mode_config")
    context.save(replace(state, strict=strict))
    return strict


def _drop_sent_snapshots(context: StepContext, manifest: Manifest) -> None:
    """Removes the files that were sent. The server keeps each of them as a snapshot of the
    collection, even after the collection is gone (measured on 1.16.3)."""
    for file in manifest.files:
        context.services.store.drop_snapshot(_target_collection(context), str(file["name"]))


def _target_collection(context: StepContext) -> str:
    """Returns the collection that the backup becomes: green, unless the plan names another."""
    return str(context.arguments.get("collection", context.deployment.green))


def _stamp_recovered(context: StepContext, manifest: Manifest) -> Stamp:
    """Returns the stamp. It keeps what the snapshot says about the model, and names this
    deployment."""
    deployment = context.deployment
    known = Stamp.of(manifest.metadata)
    ours: dict[str, Any] = {
        "deployment": deployment.id,
        "alias": deployment.alias,
        "number": deployment.number,
    }
    if known is not None:
        return replace(known, **ours)
    every = sorted(unknown_vectors(None, manifest.schema))
    return Stamp(**ours, vector=main_vector(manifest.schema), unknown=every)


_PHASES = {"": _check_backup, "upload": _upload_backup, "look": _await_collection}


# --- compare --------------------------------------------------------------------------------------


def compare_with_manifest(context: StepContext) -> Outcome:
    """Compares the collection with the manifest. Safe to run twice: it only reads."""
    manifest = _read_manifest(context)
    store = context.services.store
    green = context.deployment.green
    count = store.count(green)
    if manifest.low <= count <= manifest.high:
        faults = []
    else:
        faults = [f"{count:,} points instead of {_describe_count(manifest)}"]
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
    if answered:
        told += f", {answered} queries answered"
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
    """Returns which points of the sample changed. If the sample is empty although there were
    points, this proves nothing and counts as a fault."""
    if not manifest.sample:
        if not manifest.high:
            return []
        return ["no point was remembered to compare with"]
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
    """Returns how many of the index's queries were asked, and which of them found too little."""
    spec = context.deployment.spec
    recovered = context.outputs.get(RecoveredGreen)
    if not spec.models or not spec.validation.queries:
        return 0, []
    embedder = context.services.embedder(spec.models[0])
    rules = spec.validation
    made_with = Stamp.of(_read_manifest(context).metadata)
    if made_with is None or made_with.identity != embedder.identity:
        return 0, []  # a query embedded with another model would show nothing about the backup
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
    """Raises Refused if the manifest is damaged or gone."""
    return manifests.read_manifest(context.services.shelf, str(context.arguments["backup"]))


def _describe_count(manifest: Manifest) -> str:
    if manifest.low == manifest.high:
        return f"{manifest.low:,}"
    return f"{manifest.low:,} to {manifest.high:,}"
