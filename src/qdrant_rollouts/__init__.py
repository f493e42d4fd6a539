"""Blue-green rebuilds of Qdrant collections behind an alias: what an application imports.

``open_router`` and ``open_async_router`` search by alias, through whatever is being rolled out;
``QdrantClient`` and ``AsyncQdrantClient`` are qdrant-client's own, and their writes survive a
rebuild; ``Refused``, ``Unavailable`` and ``OutcomeUnknown`` are the errors worth catching.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qdrant_rollouts.adapters.writing_client import QdrantClient
    from qdrant_rollouts.adapters.writing_client_async import AsyncQdrantClient
    from qdrant_rollouts.core.errors import OutcomeUnknown, Refused, Unavailable
    from qdrant_rollouts.wiring import open_async_router, open_router

    __version__: str

__all__ = [
    "AsyncQdrantClient",
    "OutcomeUnknown",
    "QdrantClient",
    "Refused",
    "Unavailable",
    "__version__",
    "open_async_router",
    "open_router",
]

_HOMES = {
    "AsyncQdrantClient": "adapters.writing_client_async",
    "OutcomeUnknown": "core.errors",
    "QdrantClient": "adapters.writing_client",
    "Refused": "core.errors",
    "Unavailable": "core.errors",
    "open_async_router": "wiring",
    "open_router": "wiring",
}


def __getattr__(name: str) -> Any:
    """Loads only the requested name: every module of ours imports this one first."""
    if name == "__version__":
        return import_module("importlib.metadata").version("qdrant-rollouts")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
