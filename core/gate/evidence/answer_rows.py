"""The row of a probe: what its answers were, in numbers that the checks read."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from qdrant_rollouts.core.config.vector_kinds import Kind
from qdrant_rollouts.core.gate.evidence import relevant
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.probes import (
    SHALLOW,
    AskedProbe,
    Probe,
    other_hits,
)
from qdrant_rollouts.core.gate.evidence.relevant import SortedJudgments
from qdrant_rollouts.core.ports import Hit, PointId, SearchParams, State
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

#: For a score of 1; float32 scores of one pair differ by this much between requests
#: (validation-gate, section 2).
TOLERANCE = 1e-6
Row = dict[str, Any]


def depth_of(gate: GateContext, probe: Probe) -> int:
    """A stored vector also finds its own point, which is not counted."""
    return gate.real.limit + (probe.point is not None)


def row_of_answer(
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
        wanted = own
        if own is None:
            wanted = _own_score(gate, kind, asked)
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
