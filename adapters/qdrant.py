"""Which vector store this process works with."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from qdrant_rollouts.adapters.late import FirstUse, late
from qdrant_rollouts.adapters.qdrant_folder import InspectionStore
from qdrant_rollouts.core.ports import VectorStore


def open_store(
    url: str, api_key: str, grpc_port: int, local_path: str | Path, nodes: Sequence[str] = ()
) -> VectorStore:
    """The server at ``url``, or without one the embedded store in ``local_path``. Nothing is loaded or opened before
    its first use, which raises Refused if ``url`` is no URL."""
    if url:
        made = FirstUse(
            lambda: late("adapters.qdrant_server", "ServerStore")(url, api_key, grpc_port, nodes), embedded=False
        )
    else:
        made = FirstUse(lambda: late("adapters.qdrant_local", "LocalStore")(local_path), embedded=True)
    return cast("VectorStore", made)


def inspection_store(store: VectorStore, local_path: str | Path) -> VectorStore:
    """The embedded ``store`` in ``local_path`` for one who only looks: nothing is made there, and which aliases and
    collections there are is read without opening it, also while another process has it open."""
    return cast("VectorStore", InspectionStore(store, Path(local_path)))
