"""The files of a backup: the bytes of its snapshots on the shelf, the manifest that describes them,
and the deletion of old backups."""

import time
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import select

from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.collections.aliases import ACT_SECONDS
from qdrant_rollouts.core.collections.deletion import final_backups
from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.collections.recovered import backup_of
from qdrant_rollouts.core.database.models import Deployment, StepRow
from qdrant_rollouts.core.database.step_data import Progress, StepOutput
from qdrant_rollouts.core.deployments.plan import Done, Outcome, Reject, StepContext, Wait
from qdrant_rollouts.core.deployments.steps.backup_data import (
    FetchedFiles,
    FetchState,
    PrunedBackups,
    SealedBackup,
    TakenSnapshot,
)
from qdrant_rollouts.core.deployments.steps.backup_snapshot import remove_snapshots
from qdrant_rollouts.core.deployments.steps.long import stream_with_progress
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.lifecycle import FINAL

#: How many bytes are written and flushed to the disk at once.
_CHUNK_BYTES = 8 << 20
_LEAST_CHUNK = 64 << 10


def fetch_files(context: StepContext) -> Outcome:
    """Downloads file by file for one turn. A piece that is written twice has the same content at
    the same place."""
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
        at = _download_part(
            context, state, name, file, at, started + services.times.turn_time, chunk
        )
        rate = (at - begun_at) / max(time.monotonic() - started, 1e-6)
        progress = Progress(done=at, size=wanted.size, unit="bytes", rate=round(rate, 1))
        context.save(replace(state, chunk=_CHUNK_BYTES, done=at, progress=progress))
        if time.monotonic() >= started + services.times.turn_time:
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


def _download_part(
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


def seal_backup(context: StepContext) -> Outcome:
    """Writes the complete manifest as the last file; only then removes the server's copy. Safe to
    run twice."""
    manifest = _build_manifest(context)
    context.turn.check(ACT_SECONDS)
    context.services.shelf.seal(manifest.id, manifest.text())
    taken = context.outputs.get(TakenSnapshot)
    told = remove_snapshots(context, taken.snapshots, taken.foreign, own=taken.own)
    summary = f"{manifest.high:,} points of {manifest.collection} in {manifest.size:,} bytes"
    if not taken.own:
        summary += f"; {told}"
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
    if surplus:
        summary += f", removed {', '.join(surplus)}"
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
