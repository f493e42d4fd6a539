"""What must be true before a backup is made or restored: the server supports it, and the backup is
complete and fits the server."""

from qdrant_rollouts.core.collections import manifests
from qdrant_rollouts.core.collections.manifests import Manifest
from qdrant_rollouts.core.collections.stamps import STAMPS_SINCE
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Shelf, VectorStore


def check_server(store: VectorStore) -> None:
    """Raises Refused for a server without snapshots, or if not all of its snapshots can be
    reached."""
    server = store.server()
    if server.embedded:
        raise Refused(
            "the embedded Qdrant has no snapshots: a backup needs a server, set ROLLOUTS_QDRANT_URL"
        )
    if server.peers > max(1, server.nodes):
        raise Refused(
            f"Qdrant at {server.address} is a cluster of {server.peers} nodes, and each keeps "
            "snapshots of its own; "
            f"{server.nodes} can be reached: name the URL of every node in ROLLOUTS_QDRANT_NODES"
        )
    if server.version < STAMPS_SINCE:
        wanted = ".".join(map(str, STAMPS_SINCE))
        raise Refused(f"Qdrant at {server.address} is older than {wanted}: upgrade it")


def read_fitting_manifest(store: VectorStore, shelf: Shelf, backup: str) -> Manifest:
    """Raises Refused if there is no backup, if its manifest is damaged, or if this server cannot
    restore it."""
    manifest = manifests.read_manifest(shelf, backup)
    _check_newer(store, manifest)
    _check_kind(store, manifest)
    return manifest


def read_whole_manifest(store: VectorStore, shelf: Shelf, backup: str) -> Manifest:
    """The same, and if a file is missing or has another length. The run itself reads every byte."""
    check_server(store)
    manifest = read_fitting_manifest(store, shelf, backup)
    missing = manifests.find_absent_file(shelf, manifest)
    if missing:
        raise Refused(
            f"backup {manifest.id} is damaged: {missing}. Take another one: `rollouts backup list`"
        )
    return manifest


def _check_newer(store: VectorStore, manifest: Manifest) -> None:
    """Qdrant reads what an older version wrote (qdrant-facts 1.4), but not what a newer one
    wrote."""
    server = store.server()
    made = tuple(map(int, manifest.server.split(".")))
    if server.version[:2] < made[:2]:
        raise Refused(
            f"backup {manifest.id} was made by Qdrant {manifest.server}, {server.address} is "
            f"{'.'.join(map(str, server.version))}: upgrade it first"
        )


def _check_kind(store: VectorStore, manifest: Manifest) -> None:
    server = store.server()
    if manifest.sharded != (server.peers > 1):
        made, here = (
            ("a cluster", "a single server")
            if manifest.sharded
            else ("a single server", "a cluster")
        )
        raise Refused(
            f"backup {manifest.id} is of {made}, {server.address} is {here}: restore it on {made}"
        )
