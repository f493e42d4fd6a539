"""Reads every vector of the new collection once, because a sample would miss a single bad one among
millions."""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.collections.schema import vector_names
from qdrant_rollouts.core.config.vector_kinds import Kind, vectors_by_name
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.equals import Equals, group_equals
from qdrant_rollouts.core.gate.evidence.probes import FURTHER
from qdrant_rollouts.core.ports import Point, PointId, State
from qdrant_rollouts.core.statistics.sampling import offer_id

_PAGE = 512
_EXAMPLES = 5
#: How many ids are drawn per record to compare: not all are in the live collection, or unchanged.
_IDS = 3


def collect_vectors(gate: GateContext, over: IsTurnOver) -> float | None:
    memory = gate.part("vectors")
    memory.setdefault("sample", [])
    memory.setdefault("having", {})
    equals = Equals(memory.setdefault("drawn", []), gate.spec.validation.seed)
    while not memory.get("read"):
        gate.store.pace(gate.green)
        points, after = gate.store.scroll(gate.green, memory.get("after"), _PAGE, payload=False)
        faults = {point.id: found for point in points if (found := _find_faults(gate, point))}
        before = _faults_on_live(gate, list(faults))
        for point in points:
            _note_point(gate, memory, point)
            _note_faults(gate, memory, point.id, faults.get(point.id, {}), before.get(point.id, {}))
            equals.see(point.id, _digest_vectors(gate, point))
        memory["after"], memory["read"] = after, after is None
        memory["seen"] = int(memory.get("seen", 0)) + len(points)
        if over():
            break
    if not memory["read"]:
        return 0.0
    memory["mute"] = _is_mute(gate)
    drawn = memory.pop("drawn")
    memory["ids"] = [id for _, id, _ in drawn[: _IDS * gate.spec.validation.samples.records]]
    memory["equal"] = group_equals(drawn)
    return None


def is_mute(gate: GateContext) -> bool:
    """Is nothing searchable by design: no point has a vector, neither here nor on live, and no
    declared one is made?"""
    return bool(gate.part("vectors").get("mute"))


def _is_mute(gate: GateContext) -> bool:
    if (
        gate.makers
        or any(count_askable(gate, name) for name in gate.kinds)
        or not gate.store.count(gate.green)
    ):
        return False
    return gate.live is None or not any(
        _is_asked(gate, gate.live.collection, name) for name in gate.kinds
    )


def _is_asked(gate: GateContext, live: str, name: str) -> bool:
    """Does live have points that can be searched by this name? Decided by a sample."""
    if name not in vector_names(gate.store.schema(live)):
        return False
    found = (
        vectors_by_name(point.vector).get(name) for point in gate.store.sample(live, name, _PAGE)
    )
    return any(one is not None and gate.kinds[name][0].askable(one) for one in found)


def drawn_ids(gate: GateContext) -> list[PointId]:
    """Returns a sample of the new collection's ids. Raises Refused if a release that drew none has
    read it."""
    memory = gate.part("vectors")
    if "ids" not in memory:
        raise Refused(
            "another release has read the vectors and drew no sample for this check: retry runs it "
            "again"
        )
    found: list[PointId] = memory["ids"]
    return found


def _digest_vectors(gate: GateContext, point: Point) -> dict[str, str]:
    """Returns the digest of each vector that has content."""
    return {
        name: gate.kinds[name][0].digest(one)
        for name, one in vectors_by_name(point.vector).items()
        if name in gate.kinds and gate.kinds[name][0].askable(one)
    }


def _note_point(gate: GateContext, memory: State, point: Point) -> None:
    vectors = {
        name: one for name, one in vectors_by_name(point.vector).items() if name in gate.kinds
    }
    _offer_point(gate, memory, point, vectors)
    for name, one in vectors.items():
        kind = gate.kinds[name][0]
        _add_count(memory, "having", name)
        if kind.empty(one):
            _add_count(memory, "empty", name)
        if kind.name == "multi":
            _add_count(memory, "rows", name, kind.count(one))


def _faults_on_live(gate: GateContext, broken: Sequence[PointId]) -> dict[PointId, dict[str, str]]:
    """Returns the faults of these points' vectors on live; a fault that live has in the same way
    does not count."""
    if not broken or gate.live is None:
        return {}
    points = gate.store.fetch(gate.live.collection, broken, vectors=True)
    return {point.id: _find_faults(gate, point) for point in points}


def _note_faults(
    gate: GateContext,
    memory: State,
    id: PointId,
    faults: Mapping[str, str],
    before: Mapping[str, str],
) -> None:
    for name in faults:
        _add_count(memory, "broken", name)
    worse = {name: fault for name, fault in faults.items() if before.get(name) != fault}
    if worse:
        name, fault = next(iter(worse.items()))
        said = fault
        if len(gate.kinds) > 1:
            said = f"{fault}, {name or 'unnamed'}"
        memory[fault] = int(memory.get(fault, 0)) + 1
        memory["examples"] = [*memory.get("examples", []), f"{id} ({said})"][:_EXAMPLES]
    elif faults:
        memory["as on live"] = int(memory.get("as on live", 0)) + 1


def _find_faults(gate: GateContext, point: Point) -> dict[str, str]:
    vectors = {
        name: one for name, one in vectors_by_name(point.vector).items() if name in gate.kinds
    }
    return {
        name: fault
        for name, one in vectors.items()
        if (fault := _find_vector_fault(one, *gate.kinds[name]))
    }


def _offer_point(
    gate: GateContext, memory: State, point: Point, vectors: Mapping[str, Any]
) -> None:
    """Each name is sampled from the points that have it."""
    samples = gate.spec.validation.samples
    seed = gate.spec.validation.seed
    for name, vector in vectors.items():
        if not gate.kinds[name][0].askable(vector):
            continue
        if name == gate.vector:
            offer_id(memory["sample"], max(samples.records, samples.queries), seed, point.id)
        else:
            further = memory.setdefault("samples", {}).setdefault(name, [])
            offer_id(further, min(samples.queries, FURTHER), seed, point.id)


def count_askable(gate: GateContext, name: str | None = None) -> int | None:
    """Returns how many points can be searched under this name, else under the main one; None if
    that was not counted."""
    memory = gate.part("vectors")
    if name is None:
        name = gate.vector
    if "having" not in memory:
        return None
    return int(memory["having"].get(name, 0)) - int(memory.get("empty", {}).get(name, 0))


def _add_count(memory: State, what: str, name: str, number: int = 1) -> None:
    counts = memory.setdefault(what, {})
    counts[name] = int(counts.get(name, 0)) + number


def _find_vector_fault(vector: Any, kind: Kind, params: Mapping[str, Any]) -> str:
    if not kind.finite(vector):
        return "not finite"
    if kind.zero(params, vector):
        return "zero"
    return ""
