"""Are the answers as good as those of the live collection, by what people have judged?"""

from typing import Any

from core.checks.finding import Finding, Verdict, cannot_tell, held
from core.evidence.context import GateContext
from core.measures import intervals

#: A query whose nDCG@10 falls by more than this has become worse (validation-gate, section 3).
_DROP = 0.2

Row = dict[str, Any]


def without_judgments(gate: GateContext) -> str:
    if gate.judged and gate.live is not None and not gate.live.answers:
        return f"nobody knows how to ask {gate.live.collection} in words: judged queries were not compared with it"
    if gate.judged:
        return ""
    return "no judged queries: whether answers got worse in meaning was not checked (validation.judged)"


def ndcg(gate: GateContext, bound: float | None) -> Finding:
    return _mean(gate, bound, "ndcg@10")


def mrr(gate: GateContext, bound: float | None) -> Finding:
    return _mean(gate, bound, "mrr@10")


def recall(gate: GateContext, bound: float | None) -> Finding:
    return _mean(gate, bound, "recall@100")


def judged_quality(gate: GateContext, bound: float | None) -> Finding:
    """nDCG@10 here less that on live, query by query. Where many more results than on live were never judged, whoever
    wins is unknown."""
    rows = _paired(gate)
    if len(rows) < gate.spec.validation.samples.judged:
        return cannot_tell(_too_few(gate, rows), len(rows))
    found = intervals.paired([_change(row) for row in rows], gate.spec.validation.seed)
    seen = held(found, bound, len(rows), f"nDCG@10 less live's; {_holes(rows):.0%} of the top tens unjudged")
    if seen.verdict == "block" and _more_holes(rows) > _holes_bound(gate):
        return Finding("inconclusive", seen.value, seen.n, f"too many unjudged to call it worse: {seen.detail}")
    return seen


def holes(gate: GateContext, bound: float | None) -> Finding:
    """Unjudged results here beyond those on live. Judgments that were pooled from live favour live; where both show
    as many results nobody has judged, as with one known item a query, neither is favoured."""
    rows = _paired(gate)
    if not rows:
        return cannot_tell(_too_few(gate, rows))
    value = _more_holes(rows)
    verdict: Verdict = "pass" if bound is None or value <= bound else "inconclusive"
    detail = f"at most; unjudged of the top tens here, {_holes(rows):.0%}, less those on live"
    return Finding(verdict, value, len(rows), detail)


def regressions(gate: GateContext, bound: float | None) -> Finding:
    """Another model answers single queries worse even where it is better by far: then only the index file's own bound
    counts, and ``judged_quality`` decides."""
    rows = _paired(gate)
    if not rows:
        return cannot_tell(_too_few(gate, rows))
    worse = [row["name"] for row in rows if _worse(row)]
    value = len(worse) / len(rows)
    if gate.live and not gate.live.same_model and _said(gate, "regressions") is None:
        bound = None
    detail = f"at most; nDCG@10 fell by more than {_DROP}: {', '.join(map(repr, worse[:5])) or 'none'}"
    return Finding("pass" if bound is None or value <= bound else "inconclusive", value, len(rows), detail)


def _mean(gate: GateContext, bound: float | None, measure: str) -> Finding:
    rows = _judged(gate)
    if not rows:
        return cannot_tell("no judgments: give validation.judged")
    live = [row["live"]["judged"][measure] for row in rows if "live" in row]
    detail = f"live {sum(live) / len(live):.4f}" if live else "nothing live to compare with"
    return held(intervals.mean([row["judged"][measure] for row in rows]), bound, len(rows), detail)


def _judged(gate: GateContext) -> list[Row]:
    return [row for row in gate.part("asked").get("rows", []) if "judged" in row]


def _paired(gate: GateContext) -> list[Row]:
    return [row for row in _judged(gate) if "live" in row]


def _change(row: Row) -> float:
    change: float = row["judged"]["ndcg@10"] - row["live"]["judged"]["ndcg@10"]
    return change


def _worse(row: Row) -> bool:
    lost = row["live"]["judged"]["mrr@10"] == 1 and row["judged"]["mrr@10"] == 0
    return lost or _change(row) < -_DROP


def _holes(rows: list[Row]) -> float:
    return float(sum(row["judged"]["holes@10"] for row in rows) / len(rows))


def _more_holes(rows: list[Row]) -> float:
    return _holes(rows) - _holes([row["live"] for row in rows])


def _said(gate: GateContext, name: str) -> float | None:
    said = gate.spec.validation.check(name)
    return said.bound if said is not None else None


def _holes_bound(gate: GateContext) -> float:
    said = _said(gate, "holes@10")
    return HOLES if said is None else said


#: More unjudged results than this decide nothing (validation-gate, section 3).
HOLES = 0.2


def _too_few(gate: GateContext, rows: list[Row]) -> str:
    if gate.live is None:
        return "there is no live collection to compare with"
    unknown = sum("unknown" in row for row in gate.part("asked").get("rows", []))
    said = f"; {unknown} more name no record that either collection has" if unknown else ""
    return f"{len(rows)} judged queries, at least {gate.spec.validation.samples.judged} decide (samples.judged){said}"
