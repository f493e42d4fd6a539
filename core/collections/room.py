"""The disk and memory that a collection will need until it is green, as far as this is known before
it is created.

Rule: the estimate is a lower bound. Unknown parts (sparse vectors, multivectors, payload indexes)
are left out, so a collection that exceeds the estimate certainly does not fit. The factors and
their sources:

- numbers of a vector: 4 bytes each, 2 as float16, 1 as uint8 (Qdrant's data types);
- an HNSW graph: 2 m links of 4 bytes for each vector (its lowest layer; the others add a few per
  cent);
- quantized vectors: a quarter (scalar), a thirty-second (binary), or the declared share (product)
  of float32;
- disk twice: the optimizer builds a new segment next to the one it replaces, and 1.16.3 begins only
  if twice the segments' size is free (measured: needed 134.77 MiB for segments of 67 MiB);
- memory only for what is not ``on_disk``, once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qdrant_rollouts.core.collections.schema import vector_names, vector_params
from qdrant_rollouts.core.ports import Room, Schema, Server

_BYTES = {"float32": 4, "float16": 2, "uint8": 1}
_LINK = 4
_M = 16
_TWICE = 2
_CLONED = 3
_PRODUCT = {"x4": 4, "x8": 8, "x16": 16, "x32": 32, "x64": 64}


@dataclass(frozen=True, slots=True)
class Needed:
    """Bytes on each node, as a lower bound."""

    disk: int
    memory: int
    points: int


def estimate_need(schema: Schema, points: int, payload: float, server: Server) -> Needed:
    """``payload``: bytes of one point's payload. The embedded store builds no index."""
    if server.embedded:
        raw = sum(
            _of_vector({"hnsw_config": {"m": 0}}, vector_params(schema, name))[0]
            for name in vector_names(schema)
        )
        return Needed(disk=int(points * (raw + payload)), memory=0, points=points)
    params = schema.get("params") or {}
    copies = max(1, int(params.get("replication_factor") or 1)) / max(1, server.peers)
    vectors = [_of_vector(schema, vector_params(schema, name)) for name in vector_names(schema)]
    stored = sum(disk for disk, _ in vectors) + payload
    memory = sum(memory for _, memory in vectors)
    in_memory = 0.0
    if params.get("on_disk_payload") is False:
        in_memory = payload
    return Needed(
        disk=int(points * stored * copies * _TWICE),
        memory=int(points * (memory + in_memory) * copies),
        points=points,
    )


def estimate_clone(schema: Schema, points: int, payload: float, server: Server) -> Needed:
    """Returns what a clone takes while it is made: the snapshot, what the server unpacks, and the
    collection."""
    need = estimate_need(schema, points, payload, server)
    return replace(need, disk=need.disk * _CLONED // _TWICE)


def payload_bytes(sample: Sequence[Mapping[str, Any]]) -> float:
    """Returns the mean size of some payloads, as JSON."""
    if not sample:
        return 0.0
    return sum(len(json.dumps(payload, default=str)) for payload in sample) / len(sample)


def lacks(need: Needed, room: Room) -> str:
    """Returns what is clearly too small, with figures; empty if the collection may fit, or if the
    free space is unknown."""
    pairs = (("disk", need.disk, room.disk), ("memory", need.memory, room.memory))
    short = [
        f"at least {in_words(wanted)} of {what} for {need.points:,} points, and at most "
        f"{in_words(free)} are free"
        for what, wanted, free in pairs
        if free is not None and wanted > free
    ]
    return "; ".join(short)


def describe_room(need: Needed, room: Room) -> str:
    """Describes the figures, and which of them are not known."""
    pairs = (("disk", need.disk, room.disk), ("memory", need.memory, room.memory))
    return "; ".join(
        f"at least {in_words(wanted)} of {what} needed, {_free(free)}"
        for what, wanted, free in pairs
    )


def _free(size: int | None) -> str:
    if size is None:
        return "the free space is not known"
    return f"at most {in_words(size)} free"


def in_words(size: float) -> str:
    for unit, bytes_ in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= bytes_:
            return f"{size / bytes_:,.1f} {unit}"
    return f"{size / 2**10:,.0f} KiB"


def _of_vector(schema: Schema, params: Mapping[str, Any]) -> tuple[float, float]:
    """Returns the bytes of one vector on disk and in memory; zero if its size is not a single
    number."""
    size = params.get("size")
    if not isinstance(size, int) or params.get("multivector_config"):
        return 0.0, 0.0
    raw = float(size * _BYTES.get(str(params.get("datatype") or "float32"), 4))
    hnsw = {**(schema.get("hnsw_config") or {}), **(params.get("hnsw_config") or {})}
    m = hnsw.get("m")
    graph = float(2 * (_M if m is None else int(m)) * _LINK)
    quantization = params.get("quantization_config") or schema.get("quantization_config") or {}
    small = 0.0
    if quantization:
        small = size * 4 / _shrinks(quantization)
    memory = (0.0 if params.get("on_disk") else raw) + (0.0 if hnsw.get("on_disk") else graph)
    always = any(
        isinstance(said, dict) and said.get("always_ram") for said in quantization.values()
    )
    return raw + graph + small, memory + (small if always else 0.0)


def _shrinks(quantization: Mapping[str, Any]) -> int:
    """Returns how many times smaller a quantized vector is than one of float32."""
    if "product" in quantization:
        return _PRODUCT.get(str((quantization["product"] or {}).get("compression")), 64)
    return 32 if "binary" in quantization else 4
