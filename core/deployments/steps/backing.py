"""Makes a backup: a snapshot on the server, its bytes on the shelf, and the manifest that describes
them.

The step remembers facts about the content (count, settings, a sample of points) before and after
the snapshot. Only what is the same both times is surely in the snapshot.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import select

from qdrant_rollouts.core.collections import digests, manifests
from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.collections.deletion import final_backups
from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_data import Progress, StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps import pieces
from qdrant_rollouts.core.deployments.steps.data import (
    FetchedFiles,
    FetchState,
    PrunedBackups,
    SealedBackup,
    SnapshotState,
    TakenSnapshot,
)
from qdrant_rollouts.core.deployments.steps.long import stream_with_progress
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL
from qdrant_rollouts.core.ports import PointId, Schema
from qdrant_rollouts.core.statistics.sampling import offer_id
from qdrant_rollouts.core.times import as_iso

_CHECK_SECONDS = 1.0
_PAGE_POINTS = 4096
_SAMPLE_SIZE = 300
#: How many bytes are written and flushed to the disk at once.
_CHUNK_BYTES = 8 << 20
_LEAST_CHUNK = 64 << 10
#: How often a step looks for the result of an interrupted request, before it counts the request as
#: lost.
PATIENCE_CHECKS = 15


#: Phases in which a snapshot may have been requested.
_ASKED = ("asking", "made")


@dataclass(frozen=True, slots=True)
class _FreshSnapshots:
    """Snapshots that have appeared since the request. ``own``: none of them can belong to
    others."""

    names: list[str]
    own: bool


@dataclass(frozen=True, slots=True)
class _ContentFacts:
    """Facts about the content of a collection. ``points``: ids with their digests."""

    at: str
    schema: Schema
    metadata: dict[str, Any]
    count: int
    points: list[list[Any]]

    def as_fields(self) -> dict[str, Any]:
        """Returns the facts under the names of ``SnapshotState``."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


# --- snapshot -------------------------------------------------------------------------------------


def take_snapshot(context: StepContext) -> Outcome:
    """Takes the snapshot: one turn starts it, and the next turn checks it. Safe to run twice: a
    snapshot that has appeared since the request counts as this one."""
    state = context.load(SnapshotState)
    return _PHASES[state.phase](context, state)


def drop_snapshot(context: StepContext) -> Outcome:
    """Removes the snapshot if it is ours. If it was requested and does not exist yet, the step
    waits for it for a limited time."""
    state = context.load(SnapshotState)
    names = state.snapshots or _find_own_snapshots(context, state)
    if state.phase in _ASKED and not names and state.undo_looks < PATIENCE_CHECKS:
        context.save(replace(state, undo_looks=state.undo_looks + 1))
        return Wait(_CHECK_SECONDS, "waiting for the snapshot that was asked for, to remove it")
    return Done(StepOutput(summary=_remove_snapshots(context, names, own=state.own is not False)))


def _scan_points(context: StepContext, state: SnapshotState) -> Outcome:
    """Chooses the points to remember. Every id has the same chance."""
    store = context.services.store
    collection = context.deployment.green
    sample = [list(one) for one in state.sample]

    def scan(state: SnapshotState, seconds: float) -> tuple[SnapshotState, bool]:
        ends = time.monotonic() + seconds
        while not state.scanned:
            store.pace(collection)
            points, after = store.scroll(
                collection, state.after, _PAGE_POINTS, vectors=False, payload=False
            )
            for point in points:
                offer_id(sample, _SAMPLE_SIZE, 0, point.id)
            scanned = after is None
            state = replace(
                state,
                after=after,
                scanned=scanned,
                sample=sample,
                phase="ask" if scanned else "scan",
            )
            if time.monotonic() >= ends:
                break
        return state, not state.scanned

    pieces.work(context, state, scan)
    return Wait(0, "choosing the points to remember")


def _remember_content(context: StepContext, state: SnapshotState) -> Outcome:
    store = context.services.store
    collection = context.deployment.green
    facts = _read_content_facts(context, [id for _, id, _ in state.sample])
    known = sorted(store.snapshots(collection))
    state = replace(state, sample=(), **facts.as_fields(), phase="asking", known=known)
    context.save(state)
    return _start_snapshot(context, state)


def _start_snapshot(context: StepContext, state: SnapshotState) -> Outcome:
    context.turn.check(ACT_SECONDS)
    context.services.store.start_snapshot(context.deployment.green, list(state.known))
    context.save(replace(state, phase="made"))
    return Wait(_CHECK_SECONDS, f"snapshot of {context.deployment.green} asked for")


def _resume_snapshot(context: StepContext, state: SnapshotState) -> Outcome:
    """Continues after a crash near the request. It waits for the result of the earlier request
    before it requests a snapshot again: of two snapshots, nobody could say whose they are, and both
    would stay."""
    if _find_new_snapshots(context, state) is None and state.looks < PATIENCE_CHECKS:
        context.save(replace(state, looks=state.looks + 1))
        return Wait(
            _CHECK_SECONDS,
            f"looking whether a snapshot of {context.deployment.green} was asked for",
        )
    return _start_snapshot(context, state)


def _check_snapshot(context: StepContext, state: SnapshotState) -> Outcome:
    fresh = _find_new_snapshots(context, state)
    if fresh is None:
        return Wait(
            _CHECK_SECONDS,
            f"waiting for the snapshot of {context.deployment.green}",
            progress=False,
        )
    context.save(replace(state, snapshots=fresh.names, own=fresh.own))
    now = _read_content_facts(context, [id for id, _ in state.points])
    same = [list(point) for point in state.points if point in now.points]
    if now.schema != state.schema:
        return Reject(
            f"the settings of {context.deployment.green} were changed meanwhile; back it up again"
        )
    if state.points and not same:
        return Reject(
            f"every point of the sample was changed meanwhile; back {context.deployment.green} up "
            "when it is written less"
        )
    low, high = sorted((state.count, now.count))
    return Done(
        TakenSnapshot(
            summary=f"{', '.join(fresh.names)} of {high:,} points",
            snapshots=fresh.names,
            own=fresh.own,
            at=state.at,
            schema=now.schema,
            metadata=dict(state.metadata or {}),
            low=low,
            high=high,
            sample=same,
        )
    )


def _find_new_snapshots(context: StepContext, state: SnapshotState) -> _FreshSnapshots | None:
    """Returns the newest snapshot of each shard; None while one is missing. If there are more
    snapshots than shards, some may belong to others."""
    store = context.services.store
    collection = context.deployment.green
    fresh = _new_snapshot_names(context, state)
    newest = {store.snapshot(collection, name).shard: name for name in fresh}
    parts = store.parts(collection)
    return (
        _FreshSnapshots(list(newest.values()), own=len(fresh) == parts)
        if len(newest) == parts
        else None
    )


def _read_content_facts(context: StepContext, ids: list[PointId]) -> _ContentFacts:
    services = context.services
    collection = context.deployment.green
    with services.sessions() as session:
        now = services.clock.now(session)
    found = (
        digests.digest_points(services.store.fetch(collection, ids, vectors=True)) if ids else {}
    )
    return _ContentFacts(
        at=as_iso(now),
        schema=services.store.schema(collection),
        metadata=services.store.metadata(collection),
        count=services.store.count(collection),
        points=[[id, found[id]] for id in ids if id in found],
    )


def _new_snapshot_names(context: StepContext, state: SnapshotState) -> list[str]:
    return sorted(context.services.store.snapshots(context.deployment.green) - set(state.known))


def _find_own_snapshots(context: StepContext, state: SnapshotState) -> list[str]:
    """Returns the snapshots that have appeared since the request. If there are more of them than
    shards, it returns none, because some may belong to others."""
    if state.phase not in _ASKED:
        return []
    if context.deployment.green not in context.services.store.collections():
        return []
    fresh = _find_new_snapshots(context, state)
    return fresh.names if fresh is not None and fresh.own else []


def _remove_snapshots(context: StepContext, names: Sequence[str], *, own: bool) -> str:
    told = ", ".join(names)
    if not names:
        return "there is no snapshot to remove"
    if not own:
        return f"snapshot {told} may belong to others and stays"
    if context.deployment.green in context.services.store.collections():
        for name in names:
            context.services.store.drop_snapshot(context.deployment.green, name)
    return f"snapshot {told} removed from the server"


_PHASES = {
    "": _scan_points,
    "scan": _scan_points,
    "ask": _remember_content,
    "asking": _resume_snapshot,
    "made": _check_snapshot,
}


# --- fetch ----------------------------------------------------------------------------------------


def fetch_files(context: StepContext) -> Outcome:
    """Downloads one slice, file by file. A piece that is written twice has the same content at the
    same place."""
    services = context.services
    names = context.outputs.get(TakenSnapshot).snapshots
    state = context.load(FetchState)
    files = list(state.files)
    name = names[len(files)]
    file = manifests.file_name(names[len(files)], len(files))
    wanted = services.store.snapshot(context.deployment.green, name)
    started = time.monotonic()
    begun_at = _resume_position(context, state, file)
    at = begun_at
    chunk = state.chunk or _CHUNK_BYTES
    # Until a piece is written, the next one is smaller: this piece may be too large for the time
    # that a worker has.
    context.save(replace(state, chunk=max(_LEAST_CHUNK, chunk // 4)))
    while at < wanted.size:
        at = _download_slice(context, state, name, file, at, started + services.times.slice, chunk)
        rate = (at - begun_at) / max(time.monotonic() - started, 1e-6)
        progress = Progress(done=at, size=wanted.size, unit="bytes", rate=round(rate, 1))
        context.save(replace(state, chunk=_CHUNK_BYTES, done=at, progress=progress))
        if time.monotonic() >= started + services.times.slice:
            return Wait(0, f"{at:,} of {wanted.size:,} bytes")
    kept = services.shelf.read(context.deployment.id, file)
    found = manifests.hash_pieces(
        stream_with_progress(context, replace(state, done=at), wanted.size, kept)
    )
    if found != wanted.sha256:
        return Reject(
            f"{name} was not received as the server has it: checksum {found}, expected "
            f"{wanted.sha256}"
        )
    files.append({"name": file, "size": wanted.size, "sha256": found, "shard": wanted.shard})
    if len(files) < len(names):
        context.save(FetchState(files=files))
        return Wait(0, f"{len(files)} of {len(names)} shards")
    size = sum(int(file["size"]) for file in files)
    return Done(FetchedFiles(summary=f"{size:,} bytes, checksum as the server's", files=files))


def delete_files(context: StepContext) -> Outcome:
    context.services.shelf.drop(context.deployment.id)
    return Done(StepOutput(summary="its files are removed"))


def _download_slice(
    context: StepContext, state: FetchState, name: str, file: str, at: int, ends: float, chunk: int
) -> int:
    """Downloads snapshot ``name`` from ``at`` until the time is over or the server sends nothing
    more. Returns the position it has reached."""
    pieces = bytearray()
    start = at
    for piece in context.services.store.download_snapshot(context.deployment.green, name, at):
        pieces += piece
        if len(pieces) >= chunk:
            at = _store_pieces(context, state, file, at, pieces)
        if time.monotonic() >= ends:
            break
    at = _store_pieces(context, state, file, at, pieces)
    if at == start:
        raise Refused(f"the server sent nothing of {name} from byte {at:,} on")
    return at


def _store_pieces(
    context: StepContext, state: FetchState, file: str, at: int, pieces: bytearray
) -> int:
    """Writes the pieces. The check prevents a worker that has lost its turn from writing into files
    that were removed meanwhile."""
    if pieces:
        context.turn.check(ACT_SECONDS)
        context.services.shelf.write(context.deployment.id, file, at, bytes(pieces))
        at += len(pieces)
        pieces.clear()
        context.save(replace(state, chunk=_CHUNK_BYTES, done=at), progress=True)
    return at


def _resume_position(context: StepContext, state: FetchState, file: str) -> int:
    """Returns the position up to which both the row and the disk have everything."""
    return min(state.done, context.services.shelf.size(context.deployment.id, file))


# --- seal -----------------------------------------------------------------------------------------


def seal_backup(context: StepContext) -> Outcome:
    """Writes the complete manifest as the last file; only then removes the server's copy. Safe to
    run twice."""
    manifest = _build_manifest(context)
    context.turn.check(ACT_SECONDS)
    context.services.shelf.seal(manifest.id, manifest.text())
    taken = context.outputs.get(TakenSnapshot)
    _remove_snapshots(context, taken.snapshots, own=taken.own)
    summary = f"{manifest.high:,} points of {manifest.collection} in {manifest.size:,} bytes"
    return Done(SealedBackup(summary=summary))


def unseal_backup(context: StepContext) -> Outcome:
    context.services.shelf.unseal(context.deployment.id)
    return Done(StepOutput(summary="it is no longer a backup"))


def _build_manifest(context: StepContext) -> Manifest:
    deployment = context.deployment
    taken = context.outputs.get(TakenSnapshot)
    return Manifest(
        id=deployment.id,
        alias=deployment.alias,
        collection=deployment.green,
        number=deployment.number,
        created_at=taken.at,
        actor=str(context.arguments["actor"]),
        reason=str(context.arguments["reason"]),
        server=".".join(map(str, context.services.store.server().version)),
        files=context.outputs.get(FetchedFiles).files,
        settings=deployment.spec.model_dump(mode="json"),
        schema=taken.schema,
        metadata=taken.metadata,
        low=taken.low,
        high=taken.high,
        sample=taken.sample,
    )


# --- thin -----------------------------------------------------------------------------------------


def prune_backups(context: StepContext) -> Outcome:
    """Removes the oldest whole backups of the alias beyond ``keep``. It keeps all backups in use
    and the newest backup of the serving collection, because the others may be of versions that were
    deleted. Damaged backups are neither counted nor removed, so that a person sees them. The same
    is true for the final backup of a collection that others made. Safe to run twice."""
    shelf = context.services.shelf
    alias = context.deployment.alias
    sealed = context.outputs.get(SealedBackup).summary
    try:
        spared = _find_backups_in_use(context)
    except Refused as error:  # the new backup is whole nevertheless
        return Done(PrunedBackups(summary=f"{sealed}; no older one is removed: {error}"))
    kept = [manifest for manifest in _list_whole_backups(context) if manifest.alias == alias]
    with context.services.sessions() as session:
        last = final_backups.find_last_copies(session, [manifest.id for manifest in kept])
    kept = [manifest for manifest in kept if manifest.id not in last]
    kept.sort(
        key=lambda manifest: (manifest.id == context.deployment.id, manifest.created_at),
        reverse=True,
    )
    serving = context.services.store.aliases().get(alias)
    spared |= set([manifest.id for manifest in kept if manifest.collection == serving][:1])
    surplus = [
        manifest.id
        for manifest in kept[int(context.arguments["keep"]) :]
        if manifest.id not in spared
    ]
    for backup in surplus:
        context.turn.check(ACT_SECONDS)
        shelf.drop(backup)
    summary = f"{sealed}; {len(kept) - len(surplus) + len(last)} backups of {alias} are kept"
    summary += f", removed {', '.join(surplus)}" if surplus else ""
    return Done(PrunedBackups(summary=summary, removed=surplus))


def _list_whole_backups(context: StepContext) -> list[Manifest]:
    found = []
    shelf = context.services.shelf
    for backup in shelf.backups():
        with suppress(Refused):
            found.append(manifests.read_manifest(shelf, backup))
    return found


def _find_backups_in_use(context: StepContext) -> set[str | None]:
    """Returns the backups that a running run reads or that an index is built from. Raises Refused
    if the index file cannot be read."""
    sources = {backup_of(spec.source) for spec in context.services.indexes().values()}
    query = select(StepRow.arguments).join(Deployment).where(Deployment.status.not_in(FINAL))
    with context.services.sessions() as session:
        return sources | {
            str(found["backup"]) for found in session.scalars(query) if "backup" in found
        }
