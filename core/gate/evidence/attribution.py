"""Whether index, data or model changed the answers: four searches per query, on live and green,
exact and approximate.

The difference between exact and approximate search is the loss of a collection's own index. The
difference between the two exact searches is due to data and model; among documents that both sides
have it is due to the model alone, or, if both use one model, to the documents' changed texts
(validation-gate, section 7).
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from itertools import groupby, islice

import numpy as np

from qdrant_rollouts.core.gate.evidence.answer_rows import (
    are_comparable,
    depth_of,
    finds_itself,
    ids_beside,
    recall_of,
)
from qdrant_rollouts.core.gate.evidence.asking import search_green, search_live, take_one_request
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.probes import (
    SHALLOW,
    AskedProbe,
    Probe,
    list_probes,
    other_hits,
    with_vectors,
)
from qdrant_rollouts.core.ports import Hit, PointId, State
from qdrant_rollouts.core.statistics.ranking import ndcg, top_overlap

#: Exact searches of the live collection are expensive; a hundred suffice to distinguish the causes.
#: Fewer for every other name.
_MOST = 100
_FURTHER = 40
_CHUNK = 4

Ids = list[PointId]


def collect_attribution(gate: GateContext, over: IsTurnOver) -> float | None:
    if gate.live is None:
        return None
    memory = gate.part("attributed")
    chosen = _choose_probes(gate)
    rows: list[State] = memory.setdefault("rows", [])
    at = int(memory.get("at", 0))
    while at < len(chosen):
        gate.breathe()
        few = take_one_request(chosen[at : at + _CHUNK])
        able = [one for one in with_vectors(gate, few) if one.live is not None]
        rows += _attribute_losses(gate, [one for one in able if one.green is not None])
        at = memory["at"] = at + len(few)
        if over():
            break
    return None if at >= len(chosen) else 0.0


def summarize_losses(gate: GateContext) -> State | None:
    """Returns the losses by index, data and model, as a difference of nDCG@10, or without judgments
    of the share of the first ten results that stayed; and the largest cause."""
    every = gate.memory.get("attributed", {}).get("rows") or []
    rows = [row for row in every if not row.get("aside")] or every
    if not rows or gate.live is None:
        return None
    mean = {
        name: float(np.mean([row[name] for row in rows])) for name in ("index", "data", "common")
    }
    both = "model"
    if gate.live.same_model and gate.live.same_texts:
        both = "data"
    lost = {"index": mean["index"], "data": mean["data"]}
    lost[both] = lost.get(both, 0.0) + mean["common"]
    lost = {name: round(value, 4) for name, value in lost.items()}
    measure = "share of the live top ten that is kept"
    if _grades_by_query(gate):
        measure = "nDCG@10"
    worst = max(lost, key=lambda name: lost[name])
    return {
        "measure": measure,
        "n": len(rows),
        "lost": lost,
        "cause": worst if lost[worst] > 0 else None,
    }


def _choose_probes(gate: GateContext) -> list[Probe]:
    """If live's rate is limited, at most as many as fit into a part of the time budget: each makes
    two searches on live."""
    every = list_probes(gate)
    counted = _grades_by_query(gate)
    most = _MOST
    if gate.live_reads is not None:
        most = min(
            most, max(1, gate.live_reads // (2 * len(gate.live_limits.slices(gate.real.limit))))
        )
    judged = [
        replace(probe, grades=counted[probe.name]) for probe in every if _is_judged(probe, counted)
    ]
    main = [probe for probe in every if probe.vector in (None, gate.vector)]
    others = [probe for probe in every if probe.vector not in (None, gate.vector)]
    further = [
        probe
        for _, few in groupby(others, lambda probe: probe.vector)
        for probe in islice(few, _FURTHER)
    ]
    # Live is searched by every name only if green falls short of it; judged queries are searched as
    # applications do.
    return [*(judged or main)[:most], *([] if judged and not gate.asks_apart else further)][
        : 3 * most
    ]


def _is_judged(probe: Probe, counted: Container[str]) -> bool:
    return probe.grades is not None and probe.name in counted


def _grades_by_query(gate: GateContext) -> dict[str, dict[PointId, float]]:
    """Returns the judgments that matter for a verdict, by query."""
    rows = gate.part("asked").get("rows", [])
    return {row["name"]: dict(row["counted"]) for row in rows if "counted" in row}


def _attribute_losses(gate: GateContext, asked: Sequence[AskedProbe]) -> list[State]:
    """All of these search one vector."""
    if not asked:
        return []
    green = [one.green for one in asked if one.green is not None]
    live = [one.live for one in asked]
    theirs = [vector for vector in live if vector is not None]
    ours = asked[0].using
    other = asked[0].live_using
    depth = depth_of(gate, asked[0].probe)
    found = [
        search_green(gate, green, depth, using=ours),
        search_green(gate, green, depth, using=ours, exact=True),
        search_live(gate, theirs, depth, using=other, exact=True),
        search_live(gate, theirs, depth, using=other),
    ]
    lists = [
        [_settle_ids(gate, one, hits[at], found[2][at]) for hits in found]
        for at, one in enumerate(asked)
    ]
    there = _existing_ids(gate, gate.green, [ids[2] for ids in lists])
    here = _existing_ids(gate, gate.live.collection if gate.live else "", [ids[1] for ids in lists])
    rows = [_row_of_loss(one, ids, there | here) for one, ids in zip(asked, lists, strict=True)]
    return [
        {**row, **_both_sides(gate, one, [hits[at] for hits in found])}
        for at, (row, one) in enumerate(zip(rows, asked, strict=True))
    ]


def _both_sides(gate: GateContext, asked: AskedProbe, found: Sequence[Sequence[Hit]]) -> State:
    """Measures recall, and whether a stored vector finds its point, in one search on each side, so
    that the sides can be compared."""
    probe, (ours, our_truth, their_truth, theirs) = asked.probe, found
    if probe.vector is None:
        return {"vector": None}
    told: State = {
        "vector": probe.vector,
        "recall": recall_of(gate, probe, ours, our_truth),
        "live_recall": recall_of(gate, probe, theirs, their_truth),
        "aside": probe.vector != gate.vector and gate.text_search.names != (probe.vector,),
    }
    if probe.point is not None and gate.same(probe.vector):
        told |= {
            "self": finds_itself(gate, asked, ours),
            "live_self": finds_itself(gate, asked, theirs),
        }
    return told


def _settle_ids(
    gate: GateContext, asked: AskedProbe, hits: Sequence[Hit], truth: Sequence[Hit]
) -> Ids:
    """With judgments, each document counts. If only agreement is counted, equal scores count as the
    live collection's order."""
    same = are_comparable(gate, asked.probe) and asked.probe.grades is None
    return ids_beside(other_hits(hits, asked.probe), other_hits(truth, asked.probe), same)


def _existing_ids(gate: GateContext, collection: str, lists: Sequence[Ids]) -> set[PointId]:
    """Returns those of the ids that the collection has."""
    wanted = list({id for ids in lists for id in ids})
    return {point.id for point in gate.store.fetch(collection, wanted, vectors=False)}


def _row_of_loss(asked: AskedProbe, lists: Sequence[Ids], common: set[PointId]) -> State:
    """A positive value is a loss."""
    green, green_exact, live_exact, live = lists
    score = _choose_score(asked, live_exact)
    kept, were = ([id for id in ids if id in common] for ids in (green_exact, live_exact))
    among_common = _choose_score(asked, were)(were) - _choose_score(asked, were)(kept)
    return {
        "index": (score(green_exact) - score(green)) - (score(live_exact) - score(live)),
        "data": score(live_exact) - score(green_exact) - among_common,
        "common": among_common,
    }


def _choose_score(asked: AskedProbe, truth: Ids) -> Callable[[Ids], float]:
    grades = asked.probe.grades
    if grades is not None:
        return lambda ids: ndcg(ids, grades)
    return lambda ids: top_overlap(ids[:SHALLOW], truth[:SHALLOW])
