"""The queries with the worst results, with the answers of both collections."""

from collections.abc import Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.config.index_file import template_fields
from qdrant_rollouts.core.gate.evidence.answer_rows import Row
from qdrant_rollouts.core.gate.evidence.asking import search_green, search_live
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.probes import (
    SHALLOW,
    Probe,
    list_probes,
    vector_of_row,
    with_vectors,
)
from qdrant_rollouts.core.ports import Hit, PointId, State

_MOST = 5
_LONGEST = 80


def worst_answers(gate: GateContext) -> list[State]:
    """At most five: those that lost most of their nDCG@10, else those that overlap least with live,
    else those that the index answered worst compared with exact search."""
    rows = [row for row in gate.memory.get("asked", {}).get("rows", []) if "n" in row]
    lost = _worst_rows([row for row in rows if "judged" in row]) or _worst_rows(rows)
    chosen = {(probe.name, probe.vector): probe for probe in list_probes(gate)} if lost else {}
    found = [
        (chosen.get((row["name"], vector_of_row(gate, row))), _loss_of_row(row)) for row in lost
    ]
    return [_describe_worst(gate, probe, loss) for probe, loss in found if probe is not None]


def _worst_rows(rows: Sequence[Row]) -> list[Row]:
    """Returns the queries that lost, the worst first. Judged queries are separate, because a loss
    of agreement is another measure."""
    scored = sorted(rows, key=lambda row: (_loss_of_row(row), row["name"]), reverse=True)
    return [row for row in scored[:_MOST] if _loss_of_row(row) > 0]


def _loss_of_row(row: Mapping[str, Any]) -> float:
    live = row.get("live", {})
    if "judged" in row:
        before = 1.0
        if "judged" in live:
            before = live["judged"]["ndcg@10"]
        return float(before - row["judged"]["ndcg@10"])
    if "rbo" in live:
        return float(1 - live["rbo"])
    return float(1 - row.get("recall", 1.0))


def _describe_worst(gate: GateContext, probe: Probe, loss: float) -> State:
    (asked,) = with_vectors(gate, [probe])
    depth = gate.real.limit
    if asked.green is not None:
        ours = search_green(gate, [asked.green], depth, using=asked.using)[0]
    else:
        ours = []
    theirs = None
    if gate.live and asked.live is not None:
        theirs = search_live(gate, [asked.live], depth, using=asked.live_using)[0][:SHALLOW]
    ours = ours[:SHALLOW]
    return {
        "query": _name_probe(gate, probe),
        "vector": probe.vector,
        "loss": round(loss, 4),
        "green": _with_payload(gate, gate.green, ours),
        "live": None
        if theirs is None or gate.live is None
        else _with_payload(gate, gate.live.collection, theirs),
        "relevant": sorted(map(str, probe.grades or ())),
    }


def _name_probe(gate: GateContext, probe: Probe) -> str:
    """A stored vector is named by its point's text."""
    if probe.point is None:
        return probe.name
    points = gate.store.fetch(gate.green, [probe.point], vectors=False)
    text = ""
    if points:
        text = _describe_answer(gate, probe.point, 0.0, points[0].payload)["text"]
    if text:
        return f"{probe.name}: {text}"
    return probe.name


def _with_payload(gate: GateContext, collection: str, hits: list[Hit]) -> list[State]:
    points = gate.store.fetch(collection, [hit.id for hit in hits], vectors=False)
    payloads = {point.id: point.payload for point in points}
    return [_describe_answer(gate, hit.id, hit.score, payloads.get(hit.id, {})) for hit in hits]


def _describe_answer(
    gate: GateContext, id: PointId, score: float, payload: Mapping[str, Any]
) -> State:
    templates = gate.plan.templates.values()
    names = dict.fromkeys(name for text in templates for name in template_fields(text))
    text = " ".join(str(payload[name]) for name in names if name in payload)
    return {
        "id": id,
        "record": payload.get("id", id),
        "score": score,
        "text": _cut_between_words(" ".join(text.split())),
    }


def _cut_between_words(text: str) -> str:
    """Returns a text that is too long without its end, cut between words if it has any there."""
    if len(text) <= _LONGEST:
        return text
    kept = text[: _LONGEST - 1]
    return f"{kept.rpartition(' ')[0] or kept}…"
