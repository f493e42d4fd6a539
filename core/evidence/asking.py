"""Asking both collections: each probe becomes one row of numbers, and the checks read the rows."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.evidence.context import GateContext, Over
from core.evidence.probes import SHALLOW, Asked, Probe, others, probes, with_vectors
from core.kinds import Kind
from core.measures.ranking import agreeing, hits_at_least, holes, ndcg, overlap, rbo_ext, recall, reciprocal_rank
from core.plan import State
from core.ports import Hit, Limits, PointId, QueryVector

#: Probes in a request: few at first, then as many as take about ``_SECONDS``; exact searches of much data are slow.
_FIRST, _LARGEST = 4, 32
_SECONDS = 2.0
#: How long one request may take: three of them after a slice still end within a turn's longest lease.
PATIENCE = 20.0
#: Of a score of 1; float32 scores of one pair differ by this much between requests (validation-gate, section 2).
TOLERANCE = 1e-6

Row = dict[str, Any]


def ask(gate: GateContext, over: Over) -> float | None:
    """Needs the sample of ``vectors``."""
    memory, chosen = gate.part("asked"), probes(gate)
    rows: list[Row] = memory.setdefault("rows", [])
    while len(rows) < len(chosen):
        gate.breathe()
        started, next_ones = time.monotonic(), chosen[len(rows) : len(rows) + int(memory.get("size", _FIRST))]
        size = _affordable(gate, next_ones)
        rows += _rows(gate, with_vectors(gate, next_ones[:size]))
        fitting = size * _SECONDS / max(time.monotonic() - started, 1e-3)
        memory["size"] = max(1, min(int(fitting), 2 * size, _LARGEST))
        if over():
            break
    memory["wanted"] = len(chosen)
    return None if len(rows) >= len(chosen) else 0.0


def _affordable(gate: GateContext, chosen: Sequence[Probe]) -> int:
    """How many of these probes a limited rate allows at once; green is asked twice for each."""
    depth = max(probe.depth for probe in chosen) + 1
    ours = max(1, gate.limits.searches(2 * len(chosen), depth) // 2)
    return min(len(chosen), ours, gate.live_limits.searches(len(chosen), depth))


def search(gate: GateContext, vectors: Sequence[QueryVector], limit: int, *, exact: bool = False) -> list[list[Hit]]:
    """Asks green."""
    how = how_exact(gate.limits, exact)
    return gate.store.search_many(gate.green, vectors, limit, using=gate.vector, seconds=PATIENCE, **how)


def how_exact(limits: Limits, exact: bool) -> dict[str, Any]:
    """A search that is as exact as strict mode allows."""
    return {"exact": exact} if limits.exact or not exact else {"params": limits.wide}


def search_live(
    gate: GateContext, vectors: Sequence[QueryVector], limit: int, *, exact: bool = False
) -> list[list[Hit]]:
    """Asks the live collection, no faster than the index file allows; all batches together are as patient as one."""
    assert gate.live is not None
    live, found = gate.live, []
    for first in range(0, len(vectors), gate.pace.most):
        few = vectors[first : first + gate.pace.most]
        seconds = PATIENCE * len(few) / len(vectors)
        gate.pace.wait(len(few))
        how = how_exact(gate.live_limits, exact)
        found += gate.store.search_many(live.collection, few, limit, using=live.vector, seconds=seconds, **how)
    return found


def _rows(gate: GateContext, asked: Sequence[Asked]) -> list[Row]:
    """A probe whose vector cannot be asked (gone, empty, or not finite) leaves an empty row:
    evidence that is missing."""
    usable = [one for one in asked if one.green is not None]
    depth = max((one.probe.depth for one in usable), default=SHALLOW) + 1
    vectors = [one.green for one in usable if one.green is not None]
    found = search(gate, vectors, depth) if vectors else []
    truths = _truths(gate, vectors)
    live = _live(gate, usable, depth)
    made = {
        one.probe.name: _row(gate, one, hits, truth, live.get(one.probe.name))
        for one, hits, truth in zip(usable, found, truths, strict=True)
    }
    _drop_unknown(gate, usable, made)
    return [made.get(one.probe.name, {"name": one.probe.name}) for one in asked]


def _truths(gate: GateContext, vectors: Sequence[QueryVector]) -> Sequence[list[Hit] | None]:
    """Exact answers; none where strict mode forbids to ask for them, for a wide search is no truth."""
    if not vectors or not gate.limits.exact:
        return [None] * len(vectors)
    return search(gate, vectors, SHALLOW + 1, exact=True)


def _live(gate: GateContext, asked: Sequence[Asked], depth: int) -> dict[str, list[Hit]]:
    """Where its rate is limited, no more than fit into a part of the time budget; judged queries
    come first.
    """
    able = [one for one in asked if one.live is not None]
    if gate.live_reads is not None:
        memory, each = gate.part("asked"), len(gate.live_limits.slices(depth))
        room = max(0, gate.live_reads - int(memory.get("live_reads", 0))) // each
        memory["live_left_out"] = int(memory.get("live_left_out", 0)) + max(0, len(able) - room)
        able = able[:room]
        memory["live_reads"] = int(memory.get("live_reads", 0)) + len(able) * each
    vectors = [one.live for one in able if one.live is not None]
    found = search_live(gate, vectors, depth) if vectors else []
    return {one.probe.name: hits for one, hits in zip(able, found, strict=True)}


def _row(gate: GateContext, asked: Asked, hits: list[Hit], truth: list[Hit] | None, live: list[Hit] | None) -> Row:
    probe = asked.probe
    ours = others(hits, probe)
    row: Row = {"name": probe.name, "text": probe.text is not None, "found": len(hits), **_scores(ours)}
    if truth is not None:
        best = [h.score for h in others(truth, probe)][:SHALLOW]
        row["recall"] = hits_at_least([h.score for h in ours], best, rising=gate.rising)
    if probe.point is not None:
        row["self"] = finds_itself(gate, asked, hits)
    if probe.grades is not None:
        row["judged"] = _judged(ours, probe.grades)
    if live is not None:
        same = gate.live is not None and gate.live.same_model
        row["live"] = {"found": len(live), **_against(ours, others(live, probe), probe, same)}
    return row


def _scores(hits: Sequence[Hit]) -> Row:
    if not hits:
        return {"n": 0}
    return {"n": len(hits), "top": hits[0].score, "tenth": hits[min(SHALLOW, len(hits)) - 1].score}


def ids_beside(ours: Sequence[Hit], theirs: Sequence[Hit], same_model: bool) -> list[PointId]:
    """One model gives comparable scores: then a tie is no difference."""
    if not same_model:
        return [hit.id for hit in ours]
    return agreeing([(hit.id, hit.score) for hit in ours], [(hit.id, hit.score) for hit in theirs], TOLERANCE)


def _against(ours: Sequence[Hit], theirs: Sequence[Hit], probe: Probe, same_model: bool) -> Row:
    one, other = ids_beside(ours, theirs, same_model), [hit.id for hit in theirs]
    row = {**_scores(theirs), "overlap": overlap(one, other), "rbo": rbo_ext(one, other)}
    return row if probe.grades is None else {**row, "judged": _judged(theirs, probe.grades)}


def _judged(hits: Sequence[Hit], grades: Mapping[PointId, float]) -> State:
    ids = [hit.id for hit in hits]
    return {
        "ndcg@10": ndcg(ids, grades),
        "mrr@10": reciprocal_rank(ids, grades),
        "recall@100": recall(ids, grades),
        "holes@10": holes(ids, grades),
    }


def _drop_unknown(gate: GateContext, asked: Sequence[Asked], made: Mapping[str, Row]) -> None:
    """Judgments of records that neither collection has rank both of them alike, at 0: they are no evidence."""
    judged = {one.probe.name: _relevant(one.probe) for one in asked if one.probe.grades is not None}
    wanted = list({id for ids in judged.values() for id in ids})
    there: set[PointId] = set()
    for collection in (gate.green, gate.blue) if wanted else ():
        there |= {point.id for point in gate.store.fetch(collection, wanted, vectors=False)} if collection else set()
    for name, ids in judged.items():
        if there.isdisjoint(ids):
            for side in (made[name], made[name].get("live", {})):
                side.pop("judged", None)
            made[name]["unknown"] = True


def _relevant(probe: Probe) -> set[PointId]:
    return {id for id, grade in (probe.grades or {}).items() if grade > 0}


def finds_itself(gate: GateContext, asked: Asked, hits: Sequence[Hit]) -> bool:
    """At the top score, ties allowed: where equal vectors fill the whole list, the point may stand
    behind its end. Where another vector may rightly beat the point's own, as by dot product a
    longer one, nothing worse than the point itself may come first."""
    kind, params = gate.kind, gate.params
    if not hits or asked.green is None or kind is None:
        return False
    top, tie = hits[0].score, kind.tie(params) * max(1.0, abs(hits[0].score))
    own = next((hit.score for hit in hits if hit.id == asked.probe.point), None)
    if kind.beatable(params):
        wanted = _own_score(gate, kind, asked) if own is None else own
        return wanted is not None and top >= wanted - tie
    if own is None:
        return len(hits) > SHALLOW and abs(top - hits[-1].score) <= tie
    return abs(own - top) <= tie


def _own_score(gate: GateContext, kind: Kind, asked: Asked) -> float | None:
    """What the point scores by its own vector; with ``idf`` only the server knows, and None is a
    point it has lost."""
    assert asked.green is not None
    known = kind.own_score(gate.params, asked.green)
    if known is not None:
        return known
    alone = {"must": [{"has_id": [asked.probe.point]}]}
    found = gate.store.search(gate.green, asked.green, 1, using=gate.vector, exact=True, filter=alone)
    return found[0].score if found else None
