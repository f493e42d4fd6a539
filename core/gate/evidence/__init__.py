"""Taking evidence: what is slow about a gate, in pieces that end with the turn and go on in the next.

Rule: a collector keeps what it has found in its own part of ``GateContext.memory``, as JSON, and nothing else; asked
again after a crash it repeats the last piece. Checks read that memory and take no long look of their own. The order
matters: a collector may need what stands above it.
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
    "ready": readiness.look,
    "vectors": vectors.look,
    "payloads": payloads.look,
    "twins": twins.look,
    "texts": texts.look,
    "unchanged": unchanged.compare,
    "origin": origin.read,
    "round_trip": round_trip.compare,
    "titles": titles.read,
    "asked": asking.ask,
    "calibrated": calibration.measure,
    "filtered": filters.ask,
    "timed": timing.measure,
    "attributed": attribution.ask,
}
