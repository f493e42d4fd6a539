"""Reads the embedded Qdrant's folder without opening it.

Opening loads the whole client and every point, and only one process may do it. The names of aliases
and collections are in one small file next to the points, which the client rewrites at each change.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from qdrant_rollouts.adapters.late import late
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import Room, Server, VectorStore

_META = "meta.json"
#: Tries until a file that is being written is complete.
_MOST_READS = 20


class InspectionStore:
    """``store`` answers requests for points. If there is no folder yet, nothing is created."""

    def __init__(self, store: VectorStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def __getattr__(self, name: str) -> Any:
        if not self._folder.exists():
            raise Refused(
                f"there is no embedded Qdrant at {self._folder.absolute()} yet: nothing was "
                "deployed here"
            )
        return getattr(self._store, name)

    embedded = True

    def __str__(self) -> str:
        return f"the embedded Qdrant at {self._folder}"

    def server(self) -> Server:
        """To open the store would make its folder, so one in memory answers if there is none."""
        if self._folder.exists():
            return self._store.server()
        empty: VectorStore = late("adapters.qdrant_local", "LocalStore")(":memory:")
        try:
            return replace(empty.server(), address=str(self._folder))
        finally:
            empty.close()

    def room(self) -> Room:
        return self._store.room()

    def aliases(self) -> dict[str, str]:
        meta = self._read_meta()
        if meta is None:
            return self._store.aliases()
        return {str(k): str(v) for k, v in meta["aliases"].items()}

    def collections(self) -> set[str]:
        meta = self._read_meta()
        if meta is None:
            return self._store.collections()
        return set(meta["collections"])

    def close(self) -> None:
        self._store.close()

    def _read_meta(self) -> dict[str, Any] | None:
        """Returns None if the file cannot be read in this way: then the store itself is asked."""
        file = self._folder / _META
        if not file.exists():
            return {"aliases": {}, "collections": {}}
        for _ in range(_MOST_READS):
            try:
                meta = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:  # half written
                continue
            if isinstance(meta, dict) and {"aliases", "collections"} <= set(meta):
                return meta
            return None
        return None
