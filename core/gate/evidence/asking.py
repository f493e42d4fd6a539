"""Searches both collections: each probe becomes one row of numbers, which the checks read."""

import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from qdrant_rollouts.core.config.vector_kinds import Kind
from qdrant_rollouts.core.gate.evidence import relevant
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.probes import (
    SHALLOW,
    AskedProbe,
    Probe,
    list_probes,
    other_hits,
    with_vectors,
)
from qdrant_rollouts.core.gate.evidence.relevant import SortedJudgments
from qdrant_rollouts.core.gate.evidence.vectors import count_askable
from qdrant_rollouts.core.ports import Fused, Hit, Limits, PointId, QueryVector, SearchParams, State
from qdrant_rollouts.core.statistics.ranking import (
    expected_holes,
    expected_ndcg,
    expected_recall,
    expected_reciprocal_rank,
    found_of_best,
    rbo_ext,
    settle_ties,
    top_overlap,
)

#: Probes per request: few at first, then as many as take about ``_SECONDS``, because exact searches
#: of much data are slow.
_FIRST = 4
_LARGEST = 32
_SECONDS = 2.0
#: How long one request may take: three of them after a slice still end within a turn's longest
#: lease.
PATIENCE = 20.0
#: For a score of 1; float32 scores of one pair differ by this much between requests
#: (validation-gate, section 2).
TOLERANCE = 1e-6

Row = dict[str, Any]


def collect_answers(gate: GateContext, over: IsTurnOver) -> float | None:
    """Needs the sample of ``vectors``."""
    memory = gate.part("asked")
    chosen = list_probes(gate)
    rows: list[Row] = memory.setdefault("rows", [])
    memory["names"] = _askable_names(gate)
    while len(rows) < len(chosen):
        gate.breathe()
        started = time.monotonic()
        next_ones = take_one_request(
            chosen[len(rows) : len(rows) + int(memory.get("size", _FIRST))]
        )
        size = _count_affordable(gate, next_ones)
        rows += _ask_probes(gate, with_vectors(gate, next_ones[:size]))
        fitting = size * _SECONDS / max(time.monotonic() - started, 1e-3)
        memory["size"] = max(1, min(int(fitting), 2 * size, _LARGEST))
        if over():
            break
    memory["wanted"] = len(chosen)
    return None if len(rows) >= len(chosen) else 0.0


def _askable_names(gate: GateContext) -> list[str]:
    """Returns the names by which points can be searched. The main name is missing only if something
    makes it or there is no other."""
    found = [name for name in gate.names if count_askable(gate, name)]
    missed = gate.vector not in found and (gate.vector in gate.makers or not found)
    return [gate.vector, *found] if missed else found


def take_one_request(chosen: Sequence[Probe]) -> Sequence[Probe]:
    """Returns the first probes that use one vector and one depth."""
    first = chosen[0]
    return list(
        takewhile(lambda probe: (probe.vector, probe.deep) == (first.vector, first.deep), chosen)
    )


def _count_affordable(gate: GateContext, chosen: Sequence[Probe]) -> int:
    """Returns how many of these probes a limited rate allows at once; each makes two searches on
    green."""
    depth = max(gate.real.limit + 1, *(probe.deep for probe in chosen))
    ours = max(1, gate.limits.searches(2 * len(chosen), depth) // 2)
    return min(len(chosen), ours, gate.live_limits.searches(len(chosen), depth))


def search_green(
    gate: GateContext,
    vectors: Sequence[QueryVector],
    limit: int,
    *,
    using: str | None = None,
    exact: bool = False,
) -> list[list[Hit]]:
    """Searches green, by default with its main vector."""
    name = gate.vector if using is None else using
    how = _search_params(gate, gate.limits, exact, using=name, seconds=PATIENCE)
    return gate.store.search_many(gate.green, vectors, limit, how)


def _search_params(
    gate: GateContext, limits: Limits, exact: bool, *, using: str, seconds: float
) -> SearchParams:
    """Returns the parameters of real searches, or a search that is as exact as strict mode
    allows."""
    if exact:
        params = None if limits.exact else limits.wide
        return SearchParams(exact=limits.exact, params=params, using=using, seconds=seconds)
    params = dict(gate.real.params)
    most = limits.search_max_hnsw_ef
    if most is not None and "hnsw_ef" in params:
        params["hnsw_ef"] = min(most, params["hnsw_ef"])
    return SearchParams(params=params or None, using=using, seconds=seconds)


def search_live(
    gate: GateContext,
    vectors: Sequence[QueryVector],
    limit: int,
    *,
    using: str | None = None,
    exact: bool = False,
) -> list[list[Hit]]:
    """Searches the live collection, at most as fast as the index file allows; all batches together
    have the patience of one."""
    assert gate.live is not None
    live = gate.live
    found = []
    name = live.vector if using is None else using
    for first in range(0, len(vectors), gate.pace.most):
        few = vectors[first : first + gate.pace.most]
        seconds = PATIENCE * len(few) / len(vectors)
        gate.pace.wait(len(few))
        how = _search_params(gate, gate.live_limits, exact, using=name, seconds=seconds)
        found += gate.store.search_many(live.collection, few, limit, how)
    return found


def _ask_probes(gate: GateContext, asked: Sequence[AskedProbe]) -> list[Row]:
    """A probe whose vector cannot be searched (missing, empty, or not finite) leaves an empty row:
    missing evidence."""
    usable = [one for one in asked if one.green is not None]
    vectors = [one.green for one in usable if one.green is not None]
    found = _search_asked(gate, usable, vectors)
    deep = _search_deeper(gate, usable, vectors)
    truths = _search_exactly(gate, usable, vectors)
    live = _ask_live(gate, usable)
    records = relevant.sort_judgments(
        gate, [one.probe.name for one in usable if one.probe.grades is not None]
    )
    made = {
        one.probe.name: _row_of_answer(
            gate, one, hits, more, truth, live.get(one.probe.name), records.get(one.probe.name)
        )
        for one, hits, more, truth in zip(usable, found, deep, truths, strict=True)
    }
    return [
        made.get(one.probe.name, {"name": one.probe.name, "vector": one.probe.vector})
        for one in asked
    ]


def depth_of(gate: GateContext, probe: Probe) -> int:
    """A stored vector also finds its own point, which is not counted."""
    return gate.real.limit + (probe.point is not None)


def _search_asked(
    gate: GateContext, asked: Sequence[AskedProbe], vectors: Sequence[QueryVector]
) -> list[list[Hit]]:
    if not asked:
        return []
    return search_green(gate, vectors, depth_of(gate, asked[0].probe), using=asked[0].using)


def _search_deeper(
    gate: GateContext, asked: Sequence[AskedProbe], vectors: Sequence[QueryVector]
) -> Sequence[list[Hit] | None]:
    """Returns the result of a separate search that goes deeper than applications do."""
    deep = asked[0].probe.deep if asked else 0
    if not deep:
        return [None] * len(asked)
    return search_green(
        gate, [_widen_parts(vector, deep) for vector in vectors], deep, using=asked[0].using
    )


def _widen_parts(query: QueryVector, depth: int) -> QueryVector:
    if not isinstance(query, Fused):
        return query
    return replace(
        query, parts=tuple(replace(part, limit=max(part.limit, depth)) for part in query.parts)
    )


def _search_exactly(
    gate: GateContext, asked: Sequence[AskedProbe], vectors: Sequence[QueryVector]
) -> Sequence[list[Hit] | None]:
    """Returns exact answers. None if strict mode forbids exact searches, because a wide search is
    not exact; and none for fused lists, whose scores are ranks."""
    if not asked or asked[0].probe.vector is None or not gate.limits.exact:
        return [None] * len(vectors)
    return search_green(
        gate, vectors, min(SHALLOW, gate.real.limit) + 1, using=asked[0].using, exact=True
    )


def _ask_live(
    gate: GateContext, asked: Sequence[AskedProbe]
) -> dict[str, tuple[list[Hit], list[Hit] | None]]:
    """If its rate is limited, at most as many as fit into a part of the time budget; judged queries
    first."""
    able = [one for one in asked if one.live is not None]
    if not able:
        return {}
    depth = depth_of(gate, able[0].probe)
    deep = able[0].probe.deep
    if gate.live_reads is not None:
        memory = gate.part("asked")
        each = len(gate.live_limits.slices(depth)) + (
            len(gate.live_limits.slices(deep)) if deep else 0
        )
        room = max(0, gate.live_reads - int(memory.get("live_reads", 0))) // each
        memory["live_left_out"] = int(memory.get("live_left_out", 0)) + max(0, len(able) - room)
        able = able[:room]
        memory["live_reads"] = int(memory.get("live_reads", 0)) + len(able) * each
    vectors = [one.live for one in able if one.live is not None]
    if not vectors:
        return {}
    using = able[0].live_using
    found = search_live(gate, vectors, depth, using=using)
    more: Sequence[list[Hit] | None] = [None] * len(able)
    if deep:
        more = search_live(
            gate, [_widen_parts(vector, deep) for vector in vectors], deep, using=using
        )
    return {
        one.probe.name: (hits, further)
        for one, hits, further in zip(able, found, more, strict=True)
    }


def _row_of_answer(
    gate: GateContext,
    asked: AskedProbe,
    hits: list[Hit],
    deep: list[Hit] | None,
    truth: list[Hit] | None,
    live: tuple[list[Hit], list[Hit] | None] | None,
    records: SortedJudgments | None,
) -> Row:
    probe = asked.probe
    ours = other_hits(hits, probe)
    row: Row = {"name": probe.name, "vector": probe.vector, "text": probe.text is not None}
    row |= {"found": len(hits), **_summarize_scores(ours, deep)}
    if truth is not None:
        row["recall"] = recall_of(gate, probe, ours, truth)
    if probe.point is not None:
        row["self"] = finds_itself(gate, asked, hits)
    if live is not None:
        row["live"] = {
            "found": len(live[0]),
            **_compare_with_live(gate, ours, other_hits(live[0], probe), probe),
        }
    if records is not None:
        _add_judgments(row, records, (ours, deep), live)
    return row


def recall_of(gate: GateContext, probe: Probe, found: Sequence[Hit], truth: Sequence[Hit]) -> float:
    """Returns which share of the best possible results is among as many found ones."""
    ours, best = (
        [(hit.id, hit.score) for hit in other_hits(hits, probe)] for hits in (found, truth)
    )
    most = min(SHALLOW, gate.real.limit)
    rising = gate.rises(probe.vector)
    return found_of_best(
        ours, best[:most], most, rising=rising, tolerance=_tie_tolerance(gate, probe.vector)
    )


def _tie_tolerance(gate: GateContext, name: str | None) -> float:
    if name is None or name not in gate.kinds:
        return TOLERANCE
    kind, params = gate.kinds[name]
    return kind.tie(params)


def _summarize_scores(hits: Sequence[Hit], deep: Sequence[Hit] | None = None) -> Row:
    if not hits:
        return {"n": 0}
    return {
        "n": len(hits if deep is None else deep),
        "top": hits[0].score,
        "tenth": hits[min(SHALLOW, len(hits)) - 1].score,
    }


def ids_beside(ours: Sequence[Hit], theirs: Sequence[Hit], same_model: bool) -> list[PointId]:
    """With one model scores are comparable; then equal scores are no difference."""
    if not same_model:
        return [hit.id for hit in ours]
    return settle_ties(
        [(hit.id, hit.score) for hit in ours], [(hit.id, hit.score) for hit in theirs], TOLERANCE
    )


def are_comparable(gate: GateContext, probe: Probe) -> bool:
    """Are the scores of both sides on one scale?"""
    if probe.vector is not None:
        return gate.same(probe.vector)
    same_search = gate.live is not None and gate.live.search == gate.text_search
    return same_search and all(gate.same(name) for name in gate.text_search.names)


def _compare_with_live(
    gate: GateContext, ours: Sequence[Hit], theirs: Sequence[Hit], probe: Probe
) -> Row:
    one = ids_beside(ours, theirs, are_comparable(gate, probe))
    other = [hit.id for hit in theirs]
    return {
        **_summarize_scores(theirs),
        "overlap": top_overlap(one, other),
        "rbo": rbo_ext(one, other),
    }


#: The answers of one side: as deep as applications look, and deeper if needed.
_Answers = tuple[Sequence[Hit], Sequence[Hit] | None]


def _add_judgments(
    row: Row, records: SortedJudgments, ours: _Answers, live: _Answers | None
) -> None:
    """Adds the judgments. Each side is judged by the records that both have: a relevant record that
    only one side has does not count against the other."""
    if records.records:
        row["records"] = dict(records.records)
    here = _leave_out(ours, records.new)
    if records.relevant:
        row["judged"] = _measure_ranking(here, records.counted)
        row["counted"] = relevant.as_rows(records.counted)
        if live is not None:
            row["live"]["judged"] = _measure_ranking(
                _leave_out(live, records.left), records.counted
            )
    elif records.new:
        row["new"] = _measure_ranking(ours, records.new)
    if records.gone and live is not None:
        every = {**records.counted, **records.gone}
        row["if_lost"] = expected_ndcg(_ids_and_scores(here[0]), every) - expected_ndcg(
            _ids_and_scores(live[0]), every
        )


def _leave_out(answers: _Answers, ids: Container[PointId]) -> _Answers:
    found, deep = answers
    return (
        [hit for hit in found if hit.id not in ids],
        None if deep is None else [hit for hit in deep if hit.id not in ids],
    )


def _measure_ranking(answers: _Answers, grades: Mapping[PointId, float]) -> State:
    """Judges what people see; ``recall@100`` comes from its own deeper search."""
    found = _ids_and_scores(answers[0])
    deep = _ids_and_scores(answers[0] if answers[1] is None else answers[1])
    return {
        "ndcg@10": expected_ndcg(found, grades),
        "mrr@10": expected_reciprocal_rank(found, grades),
        "recall@100": expected_recall(deep, grades),
        "holes@10": expected_holes(found, grades),
    }


def _ids_and_scores(hits: Sequence[Hit]) -> list[tuple[PointId, float]]:
    return [(hit.id, hit.score) for hit in hits]


def finds_itself(gate: GateContext, asked: AskedProbe, hits: Sequence[Hit]) -> bool:
    """The point must have the top score, ties allowed: if equal vectors fill the whole list, the
    point may be beyond its end. If another vector may rightly score higher, as a longer one with
    dot product, nothing worse than the point itself may come first."""
    name = asked.probe.vector
    if not hits or asked.green is None or name is None or name not in gate.kinds:
        return False
    kind, params = gate.kinds[name]
    top = hits[0].score
    tie = kind.tie(params) * max(1.0, abs(hits[0].score))
    own = next((hit.score for hit in hits if hit.id == asked.probe.point), None)
    if kind.beatable(params):
        wanted = _own_score(gate, kind, asked) if own is None else own
        return wanted is not None and top >= wanted - tie
    if own is None:
        return len(hits) >= depth_of(gate, asked.probe) and abs(top - hits[-1].score) <= tie
    return abs(own - top) <= tie


def _own_score(gate: GateContext, kind: Kind, asked: AskedProbe) -> float | None:
    """Returns the point's score with its own vector; with ``idf`` only the server knows it. None
    means that the point is lost."""
    assert asked.green is not None
    known = kind.own_score(gate.params_of(asked.using), asked.green)
    if known is not None:
        return known
    alone = {"must": [{"has_id": [asked.probe.point]}]}
    found = gate.store.search(
        gate.green, asked.green, 1, SearchParams(using=asked.using, exact=True, filter=alone)
    )
    return found[0].score if found else None
