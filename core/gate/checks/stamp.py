"""Will searches embed their queries with the model that made the collection?"""

from qdrant_rollouts.core.collections.schema import meant_vector
from qdrant_rollouts.core.collections.stamps import Stamp, read_stamp
from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell, exact_verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.sanitize.quoting import quote_value


def judge_model_stamp(gate: GateContext, bound: float | None) -> Finding:
    stamp = read_stamp(gate.store, gate.green)
    if stamp is None:
        return cannot_tell(f"{gate.green} carries no stamp that says which model made it")
    faults = _find_stamp_faults(gate, stamp)
    detail = (
        "; ".join(faults)
        or f"made with {stamp.identity or 'vectors that came with the records'}, as declared"
    )
    found = "The model is the declared one."
    if faults:
        found = f"The collection was made otherwise than declared: {detail}."
    return Finding(
        exact_verdict(not faults),
        float(len(faults)),
        1,
        detail,
        0.0,
        found=found,
        facts={"faults": faults},
    )


def _find_stamp_faults(gate: GateContext, stamp: Stamp) -> list[str]:
    faults = []
    if meant_vector(gate.schema, stamp.vector) != gate.vector:
        faults.append(
            f"vector: stamped {quote_value(stamp.vector)}, declared {quote_value(gate.vector)}"
        )
    made = stamp.made
    for name in sorted({*made, *gate.makers}):
        of = f" of vector {name}" if name else ""
        stamped = made.get(name)
        declared = gate.makers.get(name)
        for what in ("identity", "template"):
            one = getattr(stamped, what, None)
            other = getattr(declared, what, None)
            if one != other:
                word = "text template"
                if what == "identity":
                    word = "model"
                faults.append(
                    f"{word}{of}: stamped {quote_value(one)}, declared {quote_value(other)}"
                )
    return faults
