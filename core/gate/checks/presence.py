"""Does every point still have each of its vectors?"""

from dataclasses import dataclass

from qdrant_rollouts.core.collections.schema import vector_names
from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext

#: An optional vector that this many points of live have, and at most this part of them on green, is
#: nearly gone.
_ENOUGH = 10
_NOTHING = 0.1
#: So often live is counted again if it is written to between two counts.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class _VectorCount:
    """How many points of green and of live have one vector; None if nothing says how many there
    should be."""

    name: str
    found: int
    written: int | None
    live: int | None
    #: All points of live when ``live`` was counted.
    live_points: int = 0

    def __str__(self) -> str:
        told = [f"{self.name or 'unnamed'} on {self.found:,} points"]
        told += [f"{self.written:,} were written"] if self.written not in (None, self.found) else []
        told += [f"live has it on {self.live:,}"] if self.live is not None else []
        return ", ".join(told)


def judge_vector_presence(gate: GateContext, bound: float | None) -> Finding:
    """Exact counts by vector name: as many as were written, and no fewer than on live except for
    points that left. An optional vector may be on fewer points, but not on hardly any."""
    counted = [_count_points(gate, name) for name in _expected_names(gate)]
    if counted and all(one.written is None and one.live is None for one in counted):
        return cannot_tell("nothing says how many points should have each vector")
    faults = [fault for one in counted if (fault := _find_fault(gate, one))]
    n = gate.store.count(gate.green)
    if faults:
        detail = f"vectors are missing: {'; '.join(faults)}"
        found = f"Vectors are missing: {'; '.join(faults)}."
        return Finding(
            "block", float(len(faults)), n, detail, 0.0, found=found, facts={"faults": faults}
        )
    if gone := [str(one) for one in counted if _is_nearly_gone(gate, one)]:
        detail = f"optional, and nearly gone at once: {'; '.join(gone)}"
        found = f"A vector that may be missing is nearly gone at once: {'; '.join(gone)}."
        return Finding(
            "inconclusive", float(len(gone)), n, detail, 0.0, found=found, facts={"gone": gone}
        )
    dropped = [
        f"{name or 'unnamed'} was dropped, as declared" for name in sorted(gate.plan.dropped)
    ]
    detail = "; ".join([*map(str, counted), *dropped]) or "no vectors, as in the live collection"
    return Finding(
        "pass", 0.0, n, detail, 0.0, found="Each vector is on as many points as it should be."
    )


def _expected_names(gate: GateContext) -> list[str]:
    """The names of green and of live, without those that the index file drops."""
    live = vector_names(gate.store.schema(gate.live.collection)) if gate.live else []
    return sorted({*vector_names(gate.schema), *live} - gate.plan.dropped)


def _count_points(gate: GateContext, name: str) -> _VectorCount:
    there = name in vector_names(gate.schema)
    found = 0
    if there:
        found = gate.store.count(gate.green, having=name)
    written = _count_written(gate, name)
    if gate.live is None:
        return _VectorCount(name, found, written, None)
    return _VectorCount(name, found, written, *_count_on_live(gate, gate.live.collection, name))


def _count_on_live(gate: GateContext, live: str, name: str) -> tuple[int, int]:
    """Returns how many points of live have the vector, and how many points there are. Applications
    may write between the two counts, so they are taken until nothing has changed meanwhile."""
    known = name in vector_names(gate.store.schema(live))
    points = gate.store.count(live)
    having = 0
    for _ in range(_TRIES):
        having = gate.store.count(live, having=name) if known else 0
        before = points
        points = gate.store.count(live)
        if before == points:
            return having, points
    return having, max(before, points)


def _count_written(gate: GateContext, name: str) -> int | None:
    """What ``populate`` counted; a copy or a snapshot counted only points."""
    by_vector = gate.filled.by_vector
    if by_vector is None:
        return None
    return int(by_vector.get(name, {}).get("points", 0))


def _find_fault(gate: GateContext, one: _VectorCount) -> str:
    if one.written is not None and one.found != one.written:
        return str(one)
    if one.live is None or one.name in _optional_names(gate):
        return ""
    assert gate.live is not None
    left = one.live_points - gate.store.count(gate.green)
    without = int((gate.filled.by_vector or {}).get(one.name, {}).get("not_carried", 0))
    allowed = max(0, left) + (without if gate.plan.carried.get(one.name) == "drop" else 0)
    if one.live - one.found > allowed:
        return str(one)
    return ""


def _is_nearly_gone(gate: GateContext, one: _VectorCount) -> bool:
    """A record may lack an optional vector; but if nearly all records that had it on live lack it,
    a person must look."""
    if (
        one.live is None
        or one.live < _ENOUGH
        or one.name not in _optional_names(gate)
        or gate.live is None
    ):
        return False
    here = gate.store.count(gate.green)
    there = gate.store.count(gate.live.collection)
    return one.found <= _NOTHING * one.live * min(1.0, here / there)


def _optional_names(gate: GateContext) -> frozenset[str]:
    """For a collection that another program made, no plan says which vectors a point may lack."""
    if not gate.elsewhere:
        return gate.plan.optional
    return frozenset(name for name, said in gate.spec.vectors.items() if said == "optional")
