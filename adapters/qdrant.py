"""Which vector store this process works with."""

from collections.abc import Sequence
from pathlib import Path

from adapters.qdrant_local import LocalStore
from adapters.qdrant_server import ServerStore
from core.ports import VectorStore


def open_store(
    url: str, api_key: str, grpc_port: int, local_path: str | Path, nodes: Sequence[str] = ()
) -> VectorStore:
    """The server at ``url``, or without one the embedded store in ``local_path``. Nothing is opened before its first
    use. Raises Refused if ``url`` is no URL."""
    return ServerStore(url, api_key, grpc_port, nodes) if url else LocalStore(local_path)
