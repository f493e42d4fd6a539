"""The embedded Qdrant's folder, looked at without opening it.

Opening takes the whole client and reads every point, and one process alone may do it. The names of aliases and
collections stand in one small file beside the points, which the client writes anew at each change.
"""

import json
from pathlib import Path
from typing import Any

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import VectorStore

_META = "meta.json"
#: Looks until a file that is just being written is whole.
_MOST_READS = 20


class InspectionStore:
    """``store`` answers what is asked of points. Where there is no folder yet, nothing is made."""

    def __init__(self, store: VectorStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def __getattr__(self, name: str) -> Any:
        if not self._folder.exists():
            raise Refused(f"there is no embedded Qdrant at {self._folder.absolute()} yet: nothing was deployed here")
        return getattr(self._store, name)

    embedded = True

    def __str__(self) -> str:
        return f"the embedded Qdrant at {self._folder}"

    def aliases(self) -> dict[str, str]:
        meta = self._read_meta()
        return self._store.aliases() if meta is None else {str(k): str(v) for k, v in meta["aliases"].items()}

    def collections(self) -> set[str]:
        meta = self._read_meta()
        return self._store.collections() if meta is None else set(meta["collections"])

    def close(self) -> None:
        self._store.close()

    def _read_meta(self) -> dict[str, Any] | None:
        """None where the file cannot be read like this: then the store itself is asked."""
        file = self._folder / _META
        if not file.exists():
            return {"aliases": {}, "collections": {}}
        for _ in range(_MOST_READS):
            try:
                meta = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:  # half written
                continue
            return meta if isinstance(meta, dict) and {"aliases", "collections"} <= set(meta) else None
        return None
