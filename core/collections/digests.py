"""What a backup remembers of a collection's content, to compare a restored one with it."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from qdrant_rollouts.core.collections.manifests import canonical_json
from qdrant_rollouts.core.ports import Point, PointId


def digest_points(points: list[Point]) -> dict[PointId, str]:
    """Returns a digest of each point's vectors and payload, independent of how they were read:
    vectors as float32, numbers of payloads with 12 digits, because a server's last digits differ
    between its ways to answer."""
    return {
        point.id: hashlib.sha256(
            canonical_json([_normalize_vectors(point.vector), _normalize_payload(point.payload)])
        ).hexdigest()
        for point in points
    }


def _normalize_vectors(value: Any) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"indices", "values"}:
            return _normalize_sparse(value)
        return {k: _normalize_vectors(v) for k, v in value.items()}
    return np.asarray(value, dtype=np.float32).tolist()


def _normalize_sparse(value: Mapping[str, Any]) -> list[Any]:
    numbers = np.asarray(value["values"], dtype=np.float32).tolist()
    return sorted(zip(map(int, value["indices"]), numbers, strict=True))


def _normalize_payload(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _normalize_payload(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_normalize_payload(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.12g}")
    return value
