"""Will searches embed their queries with the model the collection was made with?"""

from core.checks.finding import Finding, cannot_tell, exact
from core.evidence.context import GateContext
from core.quoting import quoted
from core.schema import meant_vector
from core.stamps import Stamp, read_stamp


def model_stamp(gate: GateContext, bound: float | None) -> Finding:
    stamp = read_stamp(gate.store, gate.green)
    if stamp is None:
        return cannot_tell(f"{gate.green} carries no stamp that says which model made it")
    faults = _faults(gate, stamp)
    detail = "; ".join(faults) or f"made with {stamp.identity or 'vectors that came with the records'}, as declared"
    return Finding(exact(not faults), float(len(faults)), 1, detail, 0.0)


def _faults(gate: GateContext, stamp: Stamp) -> list[str]:
    declared = gate.spec.embedding
    identity = gate.embedder.identity if gate.embedder else None
    pairs = (
        ("model", stamp.identity, identity),
        ("text template", stamp.spec.text if stamp.spec else None, declared.text if declared else None),
        ("vector", meant_vector(gate.schema, stamp.vector), gate.vector),
    )
    return [f"{what}: stamped {quoted(one)}, declared {quoted(other)}" for what, one, other in pairs if one != other]
