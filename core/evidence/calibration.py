"""What scores mean nothing: the cosines of queries with documents that have nothing to do with them.

A floor belongs to a model, because score scales do; this one lies above 99.9 % of random pairs (validation-gate 6).
"""

import numpy as np

from core.evidence.context import GateContext, Over
from core.evidence.probes import Asked, of_vector, with_vectors
from core.measures.shifts import null_quantiles

_QUERIES, _DOCUMENTS = 300, 400
#: Fewer texts than this are no sample of queries; stored vectors then stand for them.
_ENOUGH = 30


def measure(gate: GateContext, over: Over) -> float | None:
    memory = gate.part("calibrated")
    if memory or gate.scored not in gate.kinds:
        return None
    kind, params = gate.kinds[gate.scored]
    if kind.name != "dense" or params.get("distance") != "Cosine":
        return None
    every = of_vector(gate, gate.scored)
    texts = [probe for probe in every if probe.text is not None][:_QUERIES]
    points = [probe for probe in every if probe.point is not None][:_DOCUMENTS]
    documents = _usable(with_vectors(gate, points))
    queries = _usable(with_vectors(gate, texts)) if len(texts) >= _ENOUGH else documents[:_QUERIES]
    if len(documents) < 2:
        return None
    places = {one.probe.name: at for at, one in enumerate(documents)}
    own = [places.get(one.probe.name) for one in queries]
    found = null_quantiles(_stack(queries), _stack(documents), own)
    memory.update(zip(("q50", "q99", "floor"), found, strict=True))
    memory.update(n=len(queries) * len(documents), of="queries" if len(texts) >= _ENOUGH else "stored vectors")
    return None


def _usable(asked: list[Asked]) -> list[Asked]:
    return [one for one in asked if one.green is not None and np.any(np.asarray(one.green))]


def _stack(asked: list[Asked]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.stack([np.asarray(one.green, dtype=np.float32) for one in asked])
