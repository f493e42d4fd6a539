"""Temporary collections, to see what the server makes of a text.

Rule: the process that creates one drops it before its piece of work ends. One that a killed process
left is recognised by its mark and its age, and the sweep drops it.
"""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.ports import (
    CollectionStore,
    Point,
    PointStore,
    Schema,
    ServerText,
    VectorStore,
)

_PREFIX = "rollouts_scratch_"
_MARK = "rollouts_scratch"
#: Seconds after which no process can still use one: a turn's longest lease is shorter, and so is
#: the possible difference of two machines' clocks.
_OLD = 86_400.0


class Scratch:
    """A collection of the sparse vectors of ``names``, created like those of ``schema``."""

    def __init__(self, store: PointStore, name: str) -> None:
        self._store = store
        self._name = name
        self._next = 0

    def vectors(self, texts: Sequence[Mapping[str, ServerText]]) -> list[dict[str, Any]]:
        """Returns what the server makes of each text, by vector name. Raises Refused if it has not
        stored them all."""
        first = self._next
        self._next = self._next + len(texts)
        points = [Point(first + at, dict(some), {}) for at, some in enumerate(texts)]
        self._store.upsert(self._name, points)
        found = {point.id: vectors_by_name(point.vector) for point in self._fetch_points(points)}
        if len(found) < len(points):
            raise Refused(f"of {len(points)} texts the server kept {len(found)} in {self._name}")
        return [found[point.id] for point in points]

    def _fetch_points(self, points: Sequence[Point]) -> list[Point]:
        return self._store.fetch(self._name, [point.id for point in points], vectors=True)


@contextmanager
def open_scratch(store: VectorStore, schema: Schema, names: Sequence[str]) -> Iterator[Scratch]:
    """Creates one for the duration of the block; creates nothing if there are no ``names``."""
    name = f"{_PREFIX}{secrets.token_hex(8)}"
    if not names:
        yield Scratch(store, name)
        return
    sparse = {
        one: params
        for one, params in (schema["params"].get("sparse_vectors") or {}).items()
        if one in names
    }
    try:
        store.create(
            name, {"params": {"sparse_vectors": sparse}, "payload_schema": {}}, {_MARK: time.time()}
        )
        yield Scratch(store, name)
    finally:
        store.drop(name)


def drop_old_scratches(store: VectorStore) -> list[str]:
    """Drops what killed processes have left; returns the names."""
    if store.embedded:
        return []
    left = [
        name
        for name in sorted(store.collections())
        if name.startswith(_PREFIX) and _is_old(store, name)
    ]
    for name in left:
        store.drop(name)
    return [f"{name} was left over and is dropped" for name in left]


def _is_old(store: CollectionStore, name: str) -> bool:
    """A collection without the mark belongs to another program."""
    made = store.metadata(name).get(_MARK)
    return isinstance(made, int | float) and time.time() - made > _OLD
