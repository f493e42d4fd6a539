"""Collects evidence: the slow work of a gate, in pieces that end with the turn and continue in the
next.

Rule: a collector stores its findings only in its own part of ``GateContext.memory``, as JSON.
Called again after a crash, it repeats the last piece. Checks read that memory and do no slow work
themselves. The order matters: a collector may need the results of those above it.
"""

from qdrant_rollouts.core.gate.evidence import (
    asking,
    attribution,
    calibration,
    filters,
    origin,
    payloads,
    readiness,
    round_trip,
    texts,
    timing,
    titles,
    twins,
    unchanged,
    vectors,
)
from qdrant_rollouts.core.gate.evidence.context import Collector

COLLECTORS: dict[str, Collector] = {
    "ready": readiness.collect_readiness,
    "vectors": vectors.collect_vectors,
    "payloads": payloads.collect_payloads,
    "twins": twins.collect_twins,
    "texts": texts.collect_texts,
    "unchanged": unchanged.collect_unchanged,
    "origin": origin.collect_origin,
    "round_trip": round_trip.collect_round_trip,
    "titles": titles.collect_titles,
    "asked": asking.collect_answers,
    "calibrated": calibration.collect_calibration,
    "filtered": filters.collect_filtered,
    "timed": timing.collect_timings,
    "attributed": attribution.collect_attribution,
}
