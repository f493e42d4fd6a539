"""The gate: what a new collection is checked for before the alias may move to it.

Rule: only ``pass`` opens. A planned check without its evidence is ``inconclusive``, never a pass; one row that blocks
blocks all. Whoever adds a check adds one file here, one line in ``CHECKS`` and tests for pass, block and cannot-tell.
"""

from core.checks import capacity as room
from core.checks import (
    collapse,
    comparing,
    counts,
    floor,
    judging,
    path,
    presence,
    ready,
    round_trip,
    sanity,
    schemas,
    searching,
    stamp,
    twins,
    unchanged,
    zero,
)
from core.checks import slices as parts
from core.checks.finding import SCORE, SHARE, Check, Reach, always, never
from core.evidence.context import GateContext


def _live(gate: GateContext) -> bool:
    return gate.live is not None


def _same_model(gate: GateContext) -> bool:
    """One that has another model can be compared by texts only."""
    return gate.live is not None and (gate.live.same_model or bool(gate.spec.validation.queries or gate.judged))


def _timed(gate: GateContext) -> bool:
    return _same_model(gate) and not gate.store.server().embedded


def _source(gate: GateContext) -> bool:
    return gate.source is not None


def _counted(gate: GateContext) -> bool:
    """Who filled it has counted the records: the source need not be read again for that."""
    return "expected" in gate.filled


def _presence(gate: GateContext) -> bool:
    """Something has to say how many points should have each vector."""
    return gate.live is not None or "by_vector" in gate.filled


def _vectors(gate: GateContext) -> bool:
    return bool(gate.kinds)


def _searchable(gate: GateContext) -> bool:
    return gate.kind is not None


def _queries(gate: GateContext) -> bool:
    return bool(gate.spec.validation.queries)


def _judged(gate: GateContext) -> bool:
    return bool(gate.judged)


def _judged_live(gate: GateContext) -> bool:
    return bool(gate.judged) and gate.live is not None


def _told(gate: GateContext) -> bool:
    found = gate.store.capacity()
    return bool(found.memory or found.disk)


def _sliced(gate: GateContext) -> bool:
    return bool(gate.spec.validation.slices) and gate.live is not None


_ASKED = ("vectors", "asked")
#: Of results and of a ratio there may be any number.
_COUNT: Reach = (1, float("inf"))
_RATIO: Reach = (0, float("inf"))

CHECKS: dict[str, Check] = {
    "ready": Check(ready.ready, ("ready",)),
    "count": Check(counts.count, ("origin",), known=_counted),
    "vector_presence": Check(presence.vector_presence, when=_presence),
    "vector_schema": Check(schemas.vector_schema),
    "payload_schema": Check(schemas.payload_schema),
    "model_stamp": Check(stamp.model_stamp),
    "round_trip": Check(round_trip.round_trip, ("origin", "round_trip"), _source, reach=SHARE),
    "vector_sanity": Check(sanity.vector_sanity, ("vectors",), _vectors),
    "twins": Check(
        twins.twins,
        ("vectors", "twins"),
        _vectors,
        twins.TWINS,
        reach=SHARE,
        means=twins.MEANS,
        act=twins.ACT,
    ),
    "unchanged": Check(
        unchanged.unchanged,
        ("vectors", "unchanged"),
        _live,
        compares=always,
        reach=SHARE,
        means=unchanged.MEANS,
        act=unchanged.ACT,
    ),
    "collapse": Check(
        collapse.collapse,
        ("vectors", "texts", "asked"),
        _vectors,
        collapse.CHANGED,
        reach=SHARE,
        soft=True,
        means=collapse.MEANS,
        act=collapse.ACT,
    ),
    "self_retrieval": Check(
        searching.self_retrieval, _ASKED, _searchable, searching.self_wanted, reach=SHARE, quality=True
    ),
    "ann_recall@10": Check(searching.ann_recall, _ASKED, _searchable, searching.RECALL, reach=SHARE, quality=True),
    "filtered_recall@10": Check(
        searching.filtered_recall, ("vectors", "filtered"), never, 0.90, reach=SHARE, soft=True
    ),
    "zero_result": Check(zero.zero_result, _ASKED, _searchable, 0.005, reach=SHARE, quality=True),
    "min_results": Check(
        floor.min_results, _ASKED, _queries, floor.results_wanted, _COUNT, absent=floor.without_queries
    ),
    "min_top_score": Check(floor.min_top_score, (*_ASKED, "calibrated"), _queries, floor.score_wanted, SCORE),
    "score_floor": Check(floor.score_floor, (*_ASKED, "calibrated"), _queries, reach=SCORE, shown=True),
    "judged_quality": Check(
        judging.judged_quality,
        _ASKED,
        _judged_live,
        -0.01,
        reach=SCORE,
        quality=True,
        compares=_judged,
        absent=judging.without_judgments,
    ),
    "ndcg@10": Check(judging.ndcg, _ASKED, _judged, shown=True, reach=SHARE, quality=True),
    "mrr@10": Check(judging.mrr, _ASKED, _judged, shown=True, reach=SHARE, quality=True),
    "recall@100": Check(judging.recall, _ASKED, _judged, shown=True, reach=SHARE, quality=True),
    "holes@10": Check(judging.holes, _ASKED, _judged_live, judging.HOLES, reach=SHARE, soft=True, compares=_judged),
    "regressions": Check(
        judging.regressions, _ASKED, _judged_live, 0.05, soft=True, reach=SHARE, quality=True, compares=_judged
    ),
    "count_vs_live": Check(counts.count_vs_live, (), _live, reach=SHARE, shown=True, compares=always),
    "slices": Check(parts.slices, (), _sliced, reach=SHARE, shown=True, compares=always),
    "overlap": Check(comparing.overlap, _ASKED, _same_model, shown=True, reach=SHARE, quality=True, compares=always),
    "score_shift": Check(comparing.score_shift, _ASKED, _same_model, reach=SHARE, shown=True, compares=always),
    "latency_p50": Check(
        comparing.latency_p50, ("vectors", "timed"), _timed, reach=_RATIO, shown=True, compares=always
    ),
    "latency_p95": Check(
        comparing.latency_p95, ("vectors", "timed"), _timed, reach=_RATIO, shown=True, compares=always
    ),
    "capacity": Check(room.capacity, (), _told, 0.9, reach=SHARE),
    "query_path": Check(path.query_path, (), never),
}
