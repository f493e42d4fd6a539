"""Uses titles of records as queries, if the index file asks for it and names no queries."""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver

#: Enough for a share with a narrow interval.
_MOST = 50
#: Names of title fields, the likeliest first.
_FIELDS = ("title", "name", "heading")


def collect_titles(gate: GateContext, over: IsTurnOver) -> float | None:
    """Needs the sample of ``vectors``: the same seed finds the same titles."""
    memory = gate.part("titles")
    validation = gate.spec.validation
    if validation.queries or not validation.titles or "texts" in memory:
        return None
    ids = [id for _, id, _ in gate.part("vectors").get("sample", [])[:_MOST]]
    if ids:
        points = {point.id: point for point in gate.store.fetch(gate.green, ids, vectors=False)}
    else:
        points = {}
    titles = [find_title(points[id].payload, validation.titles) for id in ids if id in points]
    memory["texts"] = list(dict.fromkeys(filter(None, titles)))
    return None


def list_queries(gate: GateContext) -> tuple[str, ...]:
    """Returns the queries in the index file, else the titles that were read."""
    return gate.spec.validation.queries or tuple(gate.memory.get("titles", {}).get("texts", ()))


def wants_queries(gate: GateContext) -> bool:
    return bool(gate.spec.validation.queries or gate.spec.validation.titles)


def find_title(payload: Mapping[str, Any], field: str) -> str:
    """Returns the text of this field, "*" meaning the first of the usual ones; empty if there is
    none."""
    for name in _FIELDS if field == "*" else (field,):
        if isinstance(found := payload.get(name), str) and found.strip():
            return " ".join(found.split())
    return ""
