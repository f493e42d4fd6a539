"""The checks that a new collection must pass before the alias may move to it.

Rule: only ``pass`` lets the alias move. A planned check without evidence is ``inconclusive``, never
a pass, and one blocking row blocks everything. To add a check, add one file here, one line in
``CHECKS``, and tests for pass, block and inconclusive.
"""

from qdrant_rollouts.core.gate.checks import (
    capacity,
    collapse,
    comparing,
    counts,
    floor,
    judging,
    models,
    path,
    payloads,
    presence,
    ready,
    round_trip,
    sanity,
    schemas,
    searching,
    slices,
    stamp,
    twins,
    unchanged,
    zero,
)
from qdrant_rollouts.core.gate.checks.finding import SCORE, SHARE, Check, Reach, always, never
from qdrant_rollouts.core.gate.checks.words import with_words
from qdrant_rollouts.core.gate.evidence import titles
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.vectors import is_mute


def _has_live(gate: GateContext) -> bool:
    return gate.live is not None


def _has_same_model(gate: GateContext) -> bool:
    """A collection of another model can be compared only by texts."""
    return gate.live is not None and (
        gate.live.same_model or bool(titles.wants_queries(gate) or gate.judged)
    )


def _is_comparable(gate: GateContext) -> bool:
    return _is_searchable(gate) and (
        _has_same_model(gate) or (gate.live is not None and bool(gate.live.same))
    )


def _can_be_timed(gate: GateContext) -> bool:
    return _is_searchable(gate) and _has_same_model(gate) and not gate.store.server().embedded


def _has_source(gate: GateContext) -> bool:
    return gate.source is not None


def _should_be_stamped(gate: GateContext) -> bool:
    """If a deployment of ours wrote the stamp and it is gone, evidence is missing; other programs
    write no stamp."""
    return not gate.unknown_green


def _is_countable(gate: GateContext) -> bool:
    return gate.counted


def _is_counted(gate: GateContext) -> bool:
    """If one of our deployments filled it, the records were counted, and the source need not be
    read again."""
    return gate.filled.expected is not None


def _knows_expected_vectors(gate: GateContext) -> bool:
    """Something must say how many points should have each vector."""
    return gate.live is not None or gate.filled.by_vector is not None


def _has_payload(gate: GateContext) -> bool:
    return gate.live is not None or bool(gate.schema["payload_schema"])


def _has_vectors(gate: GateContext) -> bool:
    return bool(gate.kinds)


def _is_searchable(gate: GateContext) -> bool:
    return bool(gate.kinds) and not is_mute(gate)


def _has_queries(gate: GateContext) -> bool:
    return titles.wants_queries(gate)


def _has_judgments(gate: GateContext) -> bool:
    return bool(gate.judged)


def _has_judgments_and_live(gate: GateContext) -> bool:
    return bool(gate.judged) and gate.live is not None


def _tells_capacity(gate: GateContext) -> bool:
    found = gate.store.capacity()
    return bool(found.memory or found.disk)


def _has_slices(gate: GateContext) -> bool:
    return bool(gate.spec.validation.slices) and gate.live is not None


def _is_fused(gate: GateContext) -> bool:
    """Several vectors that both collections support."""
    theirs = gate.live.search if gate.live else None
    asked = bool(titles.wants_queries(gate) or gate.judged)
    return (
        asked
        and gate.text_search.fused
        and theirs is not None
        and theirs.names == gate.text_search.names
    )


_FUSION = "People who search by text see other results than today, or the same in another order."
_LOOK = (
    "Look at the worst queries below; where texts, models and vectors are the same, results should "
    "be too."
)
_ASKED = ("vectors", "titles", "asked")
#: Points whose records left the source do not count as lost.
_JUDGED = ("vectors", "titles", "origin", "asked")
_TIMED = ("vectors", "titles", "timed")
#: There is no upper limit for results and ratios.
_COUNT: Reach = (1, float("inf"))
_RATIO: Reach = (0, float("inf"))

_CHECKS: dict[str, Check] = {
    "ready": Check(ready.judge_ready, ("ready",)),
    "count": Check(
        counts.judge_count, ("origin",), _is_countable, known=_is_counted, absent=counts.not_counted
    ),
    "vector_presence": Check(presence.judge_vector_presence, when=_knows_expected_vectors),
    "vector_schema": Check(schemas.judge_vector_schema),
    "payload_schema": Check(schemas.judge_payload_schema),
    "payload_coverage": Check(
        payloads.judge_payload_coverage,
        ("vectors", "payloads"),
        _has_payload,
        means="Filters by these fields find nothing, or much less than before, though every point "
        "is there.",
        act="Correct the field in the source. If you removed it on purpose, write `dropped` in "
        "place of its type under `collection.payload_indexes`; if its type has changed, declare "
        "the new type there.",
    ),
    "model_stamp": Check(stamp.judge_model_stamp, when=_should_be_stamped, absent=models.no_stamp),
    "declared_model": Check(
        models.judge_declared_model,
        when=models.can_be_embedded_again,
        absent=models.not_embedded_again,
        means="Searches in words would be embedded with another model than the collection was made "
        "with: their answers "
        "are as good as random.",
        act="Declare the model and the text template that made the collection, or build it from "
        "its source.",
    ),
    "live_model": Check(
        models.judge_live_model,
        when=models.is_model_known,
        absent=models.not_compared,
        compares=always,
        means="Applications that embed their own queries would search the new collection by "
        "vectors of another model.",
        act="Change them at the switch and set `accept_new_model: true`, or declare the model that "
        "made the live one.",
    ),
    "round_trip": Check(
        round_trip.judge_round_trip, ("origin", "round_trip"), _has_source, reach=SHARE
    ),
    "vector_sanity": Check(sanity.judge_vector_sanity, ("vectors",), _has_vectors),
    "twins": Check(
        twins.judge_twins,
        ("vectors", "twins"),
        _is_searchable,
        twins.TWINS,
        reach=SHARE,
        means=twins.MEANS,
        act=twins.ACT,
    ),
    "unchanged": Check(
        unchanged.judge_unchanged,
        ("vectors", "unchanged"),
        _has_live,
        compares=always,
        reach=SHARE,
        means=unchanged.MEANS,
        act=unchanged.ACT,
    ),
    "collapse": Check(
        collapse.judge_collapse,
        ("vectors", "texts", "asked"),
        _has_vectors,
        collapse.CHANGED,
        reach=SHARE,
        soft=True,
        means=collapse.MEANS,
        act=collapse.ACT,
    ),
    "self_retrieval": Check(
        searching.judge_self_retrieval,
        _ASKED,
        _is_searchable,
        searching.self_bound,
        reach=SHARE,
        quality=True,
    ),
    "ann_recall@10": Check(
        searching.judge_ann_recall,
        _ASKED,
        _is_searchable,
        searching.RECALL,
        reach=SHARE,
        quality=True,
        chart_title="Recall@10 against exact search",
    ),
    "filtered_recall@10": Check(
        searching.judge_filtered_recall,
        ("vectors", "titles", "filtered"),
        never,
        0.90,
        reach=SHARE,
        soft=True,
    ),
    "zero_result": Check(
        zero.judge_zero_result,
        _ASKED,
        _is_searchable,
        0.005,
        reach=SHARE,
        quality=True,
        absent=sanity.not_asked,
    ),
    "min_results": Check(
        floor.judge_min_results,
        _ASKED,
        _has_queries,
        floor.results_wanted,
        _COUNT,
        absent=floor.without_queries,
    ),
    "min_top_score": Check(
        floor.judge_min_top_score, (*_ASKED, "calibrated"), _has_queries, floor.score_wanted, SCORE
    ),
    "score_floor": Check(
        floor.judge_score_floor, (*_ASKED, "calibrated"), _has_queries, reach=SCORE, shown=True
    ),
    "judged_quality": Check(
        judging.judge_quality,
        _JUDGED,
        _has_judgments_and_live,
        -0.01,
        reach=SCORE,
        quality=True,
        compares=_has_judgments,
        asks_live=True,
        absent=judging.without_judgments,
    ),
    "ndcg@10": Check(
        judging.judge_ndcg,
        _JUDGED,
        _has_judgments,
        shown=True,
        reach=SHARE,
        quality=True,
        chart_title="Judged quality, nDCG@10",
    ),
    "mrr@10": Check(
        judging.judge_mrr, _JUDGED, _has_judgments, shown=True, reach=SHARE, quality=True
    ),
    "recall@100": Check(
        judging.judge_recall, _JUDGED, _has_judgments, shown=True, reach=SHARE, quality=True
    ),
    "holes@10": Check(
        judging.judge_holes,
        _JUDGED,
        _has_judgments_and_live,
        judging.HOLES,
        reach=SHARE,
        soft=True,
        compares=_has_judgments,
        asks_live=True,
    ),
    "regressions": Check(
        judging.judge_regressions,
        _JUDGED,
        _has_judgments_and_live,
        0.05,
        soft=True,
        reach=SHARE,
        quality=True,
        compares=_has_judgments,
        asks_live=True,
    ),
    "count_vs_live": Check(
        counts.judge_count_vs_live, (), _has_live, reach=SHARE, shown=True, compares=always
    ),
    "slices": Check(slices.judge_slices, (), _has_slices, reach=SHARE, shown=True, compares=always),
    "overlap": Check(
        comparing.judge_overlap,
        _ASKED,
        _is_comparable,
        shown=True,
        reach=SHARE,
        quality=True,
        compares=always,
        asks_live=True,
    ),
    "fusion_overlap": Check(
        comparing.judge_fusion_overlap,
        _ASKED,
        _is_fused,
        shown=True,
        reach=SHARE,
        compares=always,
        asks_live=True,
        means=_FUSION,
        act=_LOOK,
    ),
    "score_shift": Check(
        comparing.judge_score_shift,
        _ASKED,
        _is_comparable,
        reach=SHARE,
        shown=True,
        compares=always,
        asks_live=True,
    ),
    "latency_p50": Check(
        comparing.judge_latency_p50,
        _TIMED,
        _can_be_timed,
        reach=_RATIO,
        shown=True,
        compares=always,
        asks_live=True,
    ),
    "latency_p95": Check(
        comparing.judge_latency_p95,
        _TIMED,
        _can_be_timed,
        reach=_RATIO,
        shown=True,
        compares=always,
        asks_live=True,
    ),
    "capacity": Check(capacity.judge_capacity, (), _tells_capacity, 0.9, reach=SHARE),
    "query_path": Check(path.judge_query_path, ("vectors", "titles"), never),
}
CHECKS: dict[str, Check] = with_words(_CHECKS)
