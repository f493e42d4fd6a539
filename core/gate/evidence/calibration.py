"""Measures which scores mean nothing: those of query-like texts with unrelated documents.

The floor depends on the model, because score scales do, and on the size, because the best of many
unrelated documents scores higher than the best of few. So it is the score that the best of as many
unrelated documents as there are points would reach once in a hundred times. Documents that may
answer a query are left out: its own record, the judged ones, its top results, and all that share a
word with it.

The spread is taken from the lower half of the scores, where no answer can be; slightly related
documents lie above the middle. Measured with four models on two corpora of 20 to 1,400 records
(docs/understand/gate-floor.md).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qdrant_rollouts.core.config.index_file import render_text
from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.gate.evidence.asking import search_green
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.probes import (
    SHALLOW,
    probes_of_vector,
    sampled_ids,
    vector_of_row,
    with_vectors,
)
from qdrant_rollouts.core.gate.evidence.titles import list_queries
from qdrant_rollouts.core.ports import FloatArray, Point, PointId, State
from qdrant_rollouts.core.statistics.shifts import chance_floor

#: How many documents are drawn; how many records give a query-like text; how many declared and
#: judged queries are added.
_DOCUMENTS = 300
_OWN = 50
_QUERIES = 100
#: How many words of a record are searched: at most half of them, or the text would be the document
#: itself.
_WORDS = 16
#: Fewer pairs of a text and an unrelated document say nothing about either.
_PAIRS = 200
#: Of a hundred pairs of records one may be less similar than the text says.
_FEWEST = 0.01
#: The length of a word that makes two texts related.
_WORD = re.compile(r"\w{4,}")


def collect_calibration(gate: GateContext, over: IsTurnOver) -> float | None:
    memory = gate.part("calibrated")
    if "pairs" in memory or "floor" in memory or gate.scored not in gate.kinds:
        return None
    kind, params = gate.kinds[gate.scored]
    distance = params.get("distance")
    if kind.name != "dense" or distance not in ("Cosine", "Dot"):
        return None
    points = _fetch_documents(gate)
    texts = {point.id: text for point in points if (text := _embedded_text(gate, point.payload))}
    own = _ask_beginnings(gate, texts)
    asked = [
        *_list_asked_texts(gate),
        *((text, vector, tenth, {id}) for id, (text, vector, tenth, _) in own.items()),
    ]
    cosine = distance == "Cosine"
    memory.update(_measure_likeness(gate, points, texts, cosine=cosine))
    null = _unrelated_scores(gate, asked, points, texts, cosine=cosine)
    if len(null) < _PAIRS:
        memory.update(pairs=len(null))
        return None
    floor = chance_floor(null, int(gate.part("vectors").get("seen", len(points))))
    q50, q99 = (float(np.quantile(null, share)) for share in (0.5, 0.99))
    memory.update(q50=q50, q99=q99, floor=floor, n=len(null), of="texts and unrelated documents")
    memory.update(own=len(own), own_under=sum(best < floor for _, _, _, best in own.values()))
    return None


def _fetch_documents(gate: GateContext) -> list[Point]:
    ids = sampled_ids(gate, gate.scored)[:_DOCUMENTS]
    if ids:
        found = {point.id: point for point in gate.store.fetch(gate.green, ids, vectors=True)}
    else:
        found = {}
    return [found[id] for id in ids if id in found]


def _embedded_text(gate: GateContext, payload: Mapping[str, Any]) -> str:
    """Returns the embedded text of a point; empty if its payload does not contain it."""
    maker = gate.text_makers.get(gate.scored)
    if maker is None:
        return ""
    return render_text(maker.template, payload) or ""


#: A text, its vector, the score of its last top result, and the documents that may answer it.
_AskedText = tuple[str, FloatArray, float, set[PointId]]
_OwnTexts = dict[PointId, tuple[str, FloatArray, float, float]]


def _ask_beginnings(gate: GateContext, texts: Mapping[PointId, str]) -> _OwnTexts:
    """Searches the beginning of each record's text; returns by record the vector, the tenth and the
    best score."""
    maker = gate.text_makers.get(gate.scored)
    embedder = maker.embedder if maker else None
    if embedder is None:
        return {}
    begun = {id: _take_beginning(text) for id, text in list(texts.items())[:_OWN]}
    made = {
        id: np.asarray(embedder.query(text), dtype=np.float32) for id, text in begun.items() if text
    }
    able = {id: vector for id, vector in made.items() if np.any(vector)}
    found = search_green(gate, list(able.values()), SHALLOW, using=gate.scored) if able else []
    return {
        id: (begun[id], able[id], _last_top_score(gate, [hit.score for hit in hits]), hits[0].score)
        for id, hits in zip(able, found, strict=True)
        if hits
    }


def _take_beginning(text: str) -> str:
    words = text.split()
    return " ".join(words[: min(_WORDS, len(words) // 2)])


def _last_top_score(gate: GateContext, scores: Sequence[float]) -> float:
    """Returns the score from which on a document is a top result: at most a tenth of a small index
    is."""
    most = max(1, min(SHALLOW, int(gate.part("vectors").get("seen", 0)) // 10))
    return scores[min(most, len(scores)) - 1]


def _list_asked_texts(gate: GateContext) -> list[_AskedText]:
    """Returns the queries that people gave, with the score of the tenth answer to each."""
    rows = [
        row
        for row in gate.part("asked").get("rows", [])
        if row.get("n") and vector_of_row(gate, row) == gate.scored
    ]
    tenths = {row["name"]: row["tenth"] for row in rows}
    judged = {one.query: one.grades for one in gate.judged}
    texts = [
        probe
        for probe in probes_of_vector(gate, gate.scored)
        if probe.text is not None and probe.name in tenths
    ]
    return [
        (
            one.probe.name,
            np.asarray(one.green, dtype=np.float32),
            float(tenths[one.probe.name]),
            set(judged.get(one.probe.name, ())),
        )
        for one in with_vectors(gate, texts[:_QUERIES])
        if one.green is not None
    ]


def _unrelated_scores(
    gate: GateContext,
    asked: Sequence[_AskedText],
    points: Sequence[Point],
    texts: Mapping[PointId, str],
    *,
    cosine: bool,
) -> FloatArray:
    """Returns the scores of each text with unrelated documents."""
    known = [point for point in points if point.id in texts]
    if not known or not asked:
        return np.zeros(0, dtype=np.float32)
    scores = _score_pairs(
        [vector for _, vector, _, _ in asked],
        [_scored_vector(gate, point) for point in known],
        cosine,
    )
    words = [_long_words(texts[point.id]) for point in known]
    kept = np.zeros(scores.shape, dtype=bool)
    for at, (text, _, tenth, left_out) in enumerate(asked):
        named = _long_words(text)
        kept[at] = [
            score < tenth and point.id not in left_out and named.isdisjoint(said)
            for score, point, said in zip(scores[at], known, words, strict=True)
        ]
    return np.asarray(scores[kept], dtype=np.float32)


def _measure_likeness(
    gate: GateContext, points: Sequence[Point], texts: Mapping[PointId, str], *, cosine: bool
) -> State:
    """``alike``: the score that nearly every record reaches with nearly every other one; it is high
    if all are about one topic. ``strange``: the queries that have no word in common with any record
    of the sample."""
    if len(points) < 2 or len(texts) < len(points):
        return {}
    vectors = [_scored_vector(gate, point) for point in points]
    others = _score_pairs(vectors, vectors, cosine)[~np.eye(len(points), dtype=bool)]
    known = set().union(*map(_long_words, texts.values()))
    strange = [query for query in list_queries(gate) if known.isdisjoint(_long_words(query))]
    return {"alike": float(np.quantile(others, _FEWEST)), "strange": strange}


def _score_pairs(
    texts: Sequence[FloatArray], documents: Sequence[FloatArray], cosine: bool
) -> FloatArray:
    one = np.stack(texts)
    other = np.stack(documents)
    if cosine:
        one, other = (
            rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
            for rows in (one, other)
        )
    return np.asarray(one @ other.T, dtype=np.float32)


def _scored_vector(gate: GateContext, point: Point) -> FloatArray:
    return np.asarray(vectors_by_name(point.vector)[gate.scored], dtype=np.float32)


def _long_words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
