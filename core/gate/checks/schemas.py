"""Is the collection built as intended, and can it be filtered like the live one?"""

from qdrant_rollouts.core.collections.schema import (
    are_asked_alike,
    is_strict_mode_off,
    list_differences,
    made_names,
    vector_kind,
    vector_names,
    vector_params,
)
from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell, exact_verdict
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.ports import Schema


def judge_vector_schema(gate: GateContext, bound: float | None) -> Finding:
    """Compares vectors and all other settings with what ``create`` should have made, and the size
    with what the model returns."""
    names = vector_names(gate.schema)
    if gate.wanted is None:
        return cannot_tell("nothing says which schema was wanted")
    if gate.elsewhere:
        return _judge_as_searched(gate, gate.wanted, names)
    later = gate.restricted_later
    faults = list_differences(gate.wanted, gate.schema, waiting=later) + _find_model_faults(gate)
    waits = later and not is_strict_mode_off(gate.wanted) and is_strict_mode_off(gate.schema)
    told = ""
    if waits:
        told = "; its strict mode is switched on before it serves"
    detail = (
        "; ".join(faults)
        or f"vectors {', '.join(name or 'unnamed' for name in names)} as wanted{told}"
    )
    found = "The collection is built as declared."
    if faults:
        found = f"The collection is not built as declared: {detail}."
    return Finding(
        exact_verdict(not faults),
        float(len(faults)),
        len(names),
        detail,
        0.0,
        found=found,
        facts={"faults": faults},
    )


def judge_payload_schema(gate: GateContext, bound: float | None) -> Finding:
    """Every indexed field of the live collection must be indexed with the same type, because
    filters must not become slow."""
    wanted = gate.store.schema(gate.blue)["payload_schema"] if gate.blue else {}
    found = gate.schema["payload_schema"]
    declared = gate.spec.collection.payload_indexes
    faults = [
        f"{field}: wanted {index['data_type']}, found "
        f"{found.get(field, {}).get('data_type', 'no index')}"
        for field, index in wanted.items()
        if field not in declared and found.get(field, {}).get("data_type") != index["data_type"]
    ]
    faults += [
        f"{field}: declared, found no index"
        for field in gate.spec.collection.kept_indexes
        if field not in found
    ]
    n = len(set(wanted) | set(declared))
    detail = (
        "; ".join(faults) or f"{n} payload indexes, as in the live collection and the index file"
    )
    found = "Every field that is filtered by has its index."
    if faults:
        found = f"Filters lack an index: {detail}."
    return Finding(
        exact_verdict(not faults),
        float(len(faults)),
        n,
        detail,
        0.0,
        found=found,
        facts={"faults": faults},
    )


def _judge_as_searched(gate: GateContext, wanted: Schema, names: list[str]) -> Finding:
    """How another program stores and indexes a collection is not judged; whether it can be searched
    like live can be checked."""
    faults = [
        f"vector {name or 'unnamed'}: wanted {_describe_kind(wanted, name)}, found "
        f"{_describe_kind(gate.schema, name)}"
        for name in vector_names(wanted)
        if name not in gate.plan.dropped and not are_asked_alike(wanted, gate.schema, name)
    ]
    faults += _find_model_faults(gate)
    other = list_differences(wanted, gate.schema) if not faults else []
    told = ""
    if other:
        told = f"; made elsewhere, settings that differ: {'; '.join(other)}"
    detail = (
        "; ".join(faults)
        or f"vectors {', '.join(name or 'unnamed' for name in names)} as searched{told}"
    )
    found = "It can be searched as live is."
    if faults:
        found = f"It cannot be searched as live is: {detail}."
    return Finding(
        exact_verdict(not faults),
        float(len(faults)),
        len(names),
        detail,
        0.0,
        found=found,
        facts={"faults": faults},
    )


def _describe_kind(schema: Schema, name: str) -> str:
    if name not in vector_names(schema):
        return "none"
    params = vector_params(schema, name)
    return " ".join(
        filter(
            None, (vector_kind(schema, name).describe(params), str(params.get("distance") or ""))
        )
    )


def _find_model_faults(gate: GateContext) -> list[str]:
    if gate.embedder is None:
        return []
    if gate.vector not in vector_names(gate.schema):
        return [
            f"vector {gate.vector or 'unnamed'} is missing, found "
            f"{', '.join(vector_names(gate.schema))}"
        ]
    if gate.vector not in made_names(gate.schema):
        wanted = vector_kind(gate.schema, gate.vector).describe(gate.params)
        return [
            f"vector {gate.vector or 'unnamed'} is {wanted}, the model gives "
            f"{gate.embedder.dimension} numbers"
        ]
    size = vector_params(gate.schema, gate.vector)["size"]
    if size == gate.embedder.dimension:
        return []
    return [f"size {size}, the model gives {gate.embedder.dimension}"]
