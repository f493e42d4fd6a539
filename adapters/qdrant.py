"""Which vector store this process uses."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from qdrant_rollouts.adapters.late import FirstUse, late
from qdrant_rollouts.adapters.qdrant_folder import InspectionStore
from qdrant_rollouts.core.ports import VectorStore


def open_store(
    url: str, api_key: str, grpc_port: int, local_path: str | Path, nodes: Sequence[str] = ()
) -> VectorStore:
    """Returns the server at ``url``, or without one the embedded store in ``local_path``. Nothing
    is loaded or opened before the first use, which raises Refused if ``url`` is not a URL."""
    if url:
        made = FirstUse(
            lambda: late("adapters.qdrant_server", "ServerStore")(url, api_key, grpc_port, nodes),
            embedded=False,
        )
    else:
        made = FirstUse(
            lambda: late("adapters.qdrant_local", "LocalStore")(local_path), embedded=True
        )
    return cast("VectorStore", made)


def inspection_store(store: VectorStore, local_path: str | Path) -> VectorStore:
    """Returns the embedded ``store`` in ``local_path`` for a process that only reads: it creates
    nothing, and reads the names of aliases and collections without opening the store, even while
    another process has it open."""
    return cast("VectorStore", InspectionStore(store, Path(local_path)))
