"""Is everything there that the source gave, and nothing else?"""

from core.checks.finding import Finding, GateContext, exact


def count(gate: GateContext) -> Finding:
    expected = gate.filled.get("expected")
    if expected is None:
        return Finding("count", "inconclusive", None, None, 0, "populate left no count to compare with")
    found = gate.store.count(gate.green)
    detail = f"exact count of {gate.green}, must equal what the source gave"
    return Finding("count", exact(found == expected), float(found), float(expected), found, detail)
