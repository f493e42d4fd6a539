"""Are the answers as good as those of the live collection, according to human judgments?"""

from dataclasses import replace
from typing import Any

from qdrant_rollouts.core.gate.checks.finding import (
    Finding,
    Verdict,
    cannot_tell,
    interval_ends,
    judge_interval,
)
from qdrant_rollouts.core.gate.evidence import judged, relevant
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.statistics import intervals
from qdrant_rollouts.core.statistics.intervals import Interval

#: A query whose nDCG@10 falls by more than this has become worse (validation-gate, section 3).
_DROP = 0.2
#: A rebuild with the same model and fields is worse only if that is certain, and inconclusive only
#: beyond this many bounds. Of 1,440 healthy nights (1 to 5 % of the texts edited, 60 to 400 judged
#: queries, two models) the worst lost 2.1 bounds, and no interval lay beyond one. Requiring the
#: whole interval within the bound had stopped 20 % of those with 60 or 200 queries
#: (docs/understand/gate-judged.md).
_DOUBTFUL = 3.0

Row = dict[str, Any]


def without_judgments(gate: GateContext) -> str:
    if gate.judged and gate.live is not None and not gate.live.answers:
        return (
            f"nobody knows how to ask {gate.live.collection} in words: judged queries were not "
            "compared with it"
        )
    if not gate.judged:
        return (
            "no judged queries: whether answers got worse in meaning was not checked "
            "(validation.judged)"
        )
    wanted = gate.spec.validation.samples.judged
    usable = _count_usable(gate)
    if len(gate.judged) < wanted:
        return judged.describe_too_few(len(gate.judged), wanted)
    if usable < wanted:
        few = judged.describe_too_few(usable, wanted)
        return f"{few}; the others of {len(gate.judged):,} name no record on both sides"
    return ""


def judge_ndcg(gate: GateContext, bound: float | None) -> Finding:
    return _judge_mean(gate, bound, "ndcg@10")


def judge_mrr(gate: GateContext, bound: float | None) -> Finding:
    return _judge_mean(gate, bound, "mrr@10")


def judge_recall(gate: GateContext, bound: float | None) -> Finding:
    return _judge_mean(gate, bound, "recall@100")


def judge_quality(gate: GateContext, bound: float | None) -> Finding:
    """nDCG@10 of green minus that of live, query by query, for queries whose relevant records both
    sides have; equal scores count by their mean. If many more results than on live were never
    judged, the winner is unknown. A rebuild with the same model and fields is stopped only if it is
    clearly worse. Fewer queries than `samples.judged` are shown and decide nothing."""
    rows = _paired_rows(gate)
    if not rows or not gate.judged:
        return _nothing_to_compare(gate)
    wanted = gate.spec.validation.samples.judged
    usable = _count_usable(gate)
    if len(rows) < wanted <= usable:
        return cannot_tell(_too_few(gate, rows), len(rows))
    changes = [_ndcg_change(row) for row in rows]
    seen = intervals.paired_interval(changes, gate.spec.validation.seed)
    detail = f"nDCG@10 less live's; {_mean_holes(rows):.0%} of the top tens unjudged"
    finding = judge_interval(seen, bound, len(rows), detail)
    verdict = _verdict_of_quality(gate, finding, seen, bound, rows)
    if usable < wanted:
        detail = f"{_too_few(gate, rows)}; {finding.detail}"
        return Finding(
            "pass",
            seen.value,
            len(rows),
            detail,
            found=_describe_quality(gate, rows),
            facts=_facts_of_quality(gate, rows, seen),
            only_shown=True,
        )
    said = finding.detail
    if finding.verdict == "block" != verdict:
        said = f"too many unjudged to call it worse: {said}"
    elif verdict != finding.verdict:
        said = f"{said}; the same model and texts are stopped only if they are clearly worse"
    return Finding(
        verdict,
        seen.value,
        len(rows),
        said,
        found=_describe_quality(gate, rows),
        facts=_facts_of_quality(gate, rows, seen),
    )


def judge_holes(gate: GateContext, bound: float | None) -> Finding:
    """Unjudged results beyond those on live. Judgments collected from live's answers favour live.
    If both sides show equally many unjudged results, as with one known item per query, neither is
    favoured."""
    rows = _paired_rows(gate)
    if not rows:
        return _nothing_to_compare(gate)
    value = _more_holes(rows)
    verdict: Verdict = "inconclusive"
    if bound is None or value <= bound:
        verdict = "pass"
    detail = f"at most; unjudged of the top tens here, {_mean_holes(rows):.0%}, less those on live"
    theirs = _mean_holes([row["live"] for row in rows])
    found = (
        f"Of ten answers here {10 * _mean_holes(rows):.1f} were never judged, of ten on live "
        f"{10 * theirs:.1f}."
    )
    return Finding(verdict, value, len(rows), detail, found=found, only_shown=_are_too_few(gate))


def judge_regressions(gate: GateContext, bound: float | None) -> Finding:
    """Queries that lost much, if more of them than chance explains. With another model single
    queries get worse even if it is much better overall: then only the index file's own bound
    counts, and ``judged_quality`` decides."""
    rows = _paired_rows(gate)
    if not rows:
        return _nothing_to_compare(gate)
    worse = _worse_rows(rows)
    seen = intervals.share_interval(len(worse), len(rows))
    if gate.live and not gate.live.same_model and _declared_bound(gate, "regressions") is None:
        bound = None
    detail = (
        f"interval [{seen.low:.4g}, {seen.high:.4g}], at most; nDCG@10 fell by more than {_DROP}: "
    )
    detail += ", ".join(repr(row["name"]) for row in worse[:5]) or "none"
    facts = {"interval": interval_ends(seen), "regressed": [_describe_query(row) for row in worse]}
    found = f"{len(worse):,} of {len(rows):,} judged queries lost much of their answer."
    verdict: Verdict = "inconclusive"
    if bound is None or seen.low <= bound:
        verdict = "pass"
    return Finding(
        verdict,
        seen.value,
        len(rows),
        detail,
        found=found,
        facts=facts,
        only_shown=_are_too_few(gate),
    )


def _judge_mean(gate: GateContext, bound: float | None, measure: str) -> Finding:
    rows = _judged_rows(gate)
    if not rows:
        return cannot_tell("no judgments: give validation.judged")
    live = [row["live"]["judged"][measure] for row in rows if "judged" in row.get("live", {})]
    detail = "nothing live to compare with"
    if live:
        detail = f"live {sum(live) / len(live):.4f}"
    seen = intervals.mean_interval([row["judged"][measure] for row in rows])
    finding = judge_interval(seen, bound, len(rows), detail)
    facts = {"interval": interval_ends(seen), **({"live": sum(live) / len(live)} if live else {})}
    beside = ""
    if live:
        beside = f", {sum(live) / len(live):.2f} on live"
    found = (
        f"{_MEASURES[measure]} is {seen.value:.2f} of 1 over {len(rows):,} judged queries{beside}."
    )
    return Finding(
        finding.verdict, finding.value, finding.n, finding.detail, found=found, facts=facts
    )


_MEASURES = {
    "ndcg@10": "How high the relevant records stand among the first ten",
    "mrr@10": "The rank of the first relevant record",
    "recall@100": "The share of relevant records among the first hundred",
}


def _judged_rows(gate: GateContext) -> list[Row]:
    return [row for row in gate.part("asked").get("rows", []) if "judged" in row]


def _paired_rows(gate: GateContext) -> list[Row]:
    return [row for row in _judged_rows(gate) if "judged" in row.get("live", {})]


def _count_usable(gate: GateContext) -> int:
    """Counts judged queries that can decide: each has a relevant record on both sides. Before they
    were searched, all may."""
    memory = gate.memory.get("asked", {})
    if memory.get("complete") and gate.live is not None:
        return len(_judged_rows(gate))
    return len(gate.judged)


def _are_too_few(gate: GateContext) -> bool:
    return bool(gate.judged) and _count_usable(gate) < gate.spec.validation.samples.judged


def _nothing_to_compare(gate: GateContext) -> Finding:
    """Too few queries to decide do not count as missing evidence."""
    few = gate.live is not None and 0 < len(gate.judged) < gate.spec.validation.samples.judged
    return replace(cannot_tell(_too_few(gate, [])), only_shown=few)


def _ndcg_change(row: Row) -> float:
    change: float = row["judged"]["ndcg@10"] - row["live"]["judged"]["ndcg@10"]
    return change


def _is_worse(row: Row) -> bool:
    lost = row["live"]["judged"]["mrr@10"] == 1 and row["judged"]["mrr@10"] == 0
    return lost or _ndcg_change(row) < -_DROP


def _worse_rows(rows: list[Row]) -> list[Row]:
    return sorted((row for row in rows if _is_worse(row)), key=_ndcg_change)


def _mean_holes(rows: list[Row]) -> float:
    return float(sum(row["judged"]["holes@10"] for row in rows) / len(rows))


def _more_holes(rows: list[Row]) -> float:
    return _mean_holes(rows) - _mean_holes([row["live"] for row in rows])


def _verdict_of_quality(
    gate: GateContext, finding: Finding, seen: Interval, bound: float | None, rows: list[Row]
) -> Verdict:
    if bound is None:
        return finding.verdict
    verdict = finding.verdict
    if verdict == "block" and _more_holes(rows) > _holes_bound(gate):
        return "inconclusive"
    own = gate.live is not None and gate.live.same_model and gate.live.same_texts
    lenient = own and bound < 0 and _declared_bound(gate, "judged_quality") is None
    if verdict == "inconclusive" and lenient and seen.value >= _DOUBTFUL * bound:
        verdict = "pass"
    if verdict == "pass" and _is_doubtful(gate, rows, bound):
        return "inconclusive"
    return verdict


def _is_doubtful(gate: GateContext, rows: list[Row], bound: float) -> bool:
    """Would the result be worse if green's missing records had not left on purpose? Without a
    source this is unknown."""
    gone = {
        row["name"]: float(row["if_lost"])
        for row in gate.part("asked").get("rows", [])
        if "if_lost" in row
    }
    if not gone:
        return False
    others = [_ndcg_change(row) for row in rows if row["name"] not in gone]
    changes = [*gone.values(), *others]
    return sum(changes) / len(changes) < _DOUBTFUL * bound


def _declared_bound(gate: GateContext, name: str) -> float | None:
    said = gate.spec.validation.check(name)
    if said is None:
        return None
    return said.bound


def _holes_bound(gate: GateContext) -> float:
    said = _declared_bound(gate, "holes@10")
    return HOLES if said is None else said


#: More unjudged results than this decide nothing (validation-gate, section 3).
HOLES = 0.2


def _describe_quality(gate: GateContext, rows: list[Row]) -> str:
    worse = len(_worse_rows(rows))
    better = sum(_ndcg_change(row) > _DROP for row in rows)
    said = (
        f"Answers to {worse:,} of {len(rows):,} judged queries got clearly worse, to {better:,} "
        "clearly better."
    )
    new = sum("new" in row for row in gate.part("asked").get("rows", []))
    if new:
        said += f" {new:,} more ask for records that are new; they are listed separately."
    left_out = relevant.list_left_out(gate)
    parts = [
        f"{words}: {len(left_out[kind]):,}"
        for kind, words in _LEFT_OUT.items()
        if left_out.get(kind)
    ]
    return said + (f" Left out were relevant records, by why: {'; '.join(parts)}." if parts else "")


_LEFT_OUT = {
    "left": "they left the source",
    "gone": "on live alone, and no source says whether they left",
    "unbuilt": "in the source and in neither collection",
    "unknown": "no record has their id",
}


def _facts_of_quality(gate: GateContext, rows: list[Row], seen: Interval) -> dict[str, Any]:
    every = gate.part("asked").get("rows", [])
    return {
        "interval": interval_ends(seen),
        "regressed": [_describe_query(row) for row in _worse_rows(rows)],
        "better": sum(_ndcg_change(row) > _DROP for row in rows),
        "new": [
            {"query": row["name"], "ndcg@10": row["new"]["ndcg@10"]}
            for row in every
            if "new" in row
        ],
        "left_out": [
            {"query": row["name"], **row["records"]} for row in every if row.get("records")
        ],
    }


def _describe_query(row: Row) -> Row:
    return {
        "query": row["name"],
        "live": row["live"]["judged"]["ndcg@10"],
        "here": row["judged"]["ndcg@10"],
    }


def _too_few(gate: GateContext, rows: list[Row]) -> str:
    if gate.live is None:
        return "there is no live collection to compare with"
    every = [
        row
        for row in gate.part("asked").get("rows", [])
        if "judged" not in row and "new" not in row
    ]
    unknown = sum("unknown" in row.get("records", {}) for row in every)
    said = ""
    if unknown:
        said = f"; {unknown} more name no record that either collection has"
    return (
        f"{len(rows)} judged queries, at least {gate.spec.validation.samples.judged} decide "
        f"(samples.judged){said}"
    )
