"""Does the index find what is there?"""

from typing import Any

from core.checks.finding import Finding, Verdict, cannot_tell, ends, held
from core.evidence.context import GateContext
from core.evidence.filters import most_asked
from core.evidence.limited import no_exact
from core.evidence.vectors import askable
from core.measures import intervals

SELF_RETRIEVAL, RECALL = 0.99, 0.90
#: Less than live by this much is as good as live.
_MARGIN = 0.01


def self_wanted(gate: GateContext) -> float:
    """Where a point need not be its own best answer, it finds itself as surely as the index finds anything."""
    sure = gate.kind is None or gate.kind.sure(gate.params)
    return SELF_RETRIEVAL if sure else RECALL


def self_retrieval(gate: GateContext, bound: float | None) -> Finding:
    """The share of stored vectors that find themselves; too few block only where chance cannot explain it."""
    rows = [row for row in gate.part("asked").get("rows", []) if "self" in row]
    if not rows:
        return cannot_tell("no stored vector could be asked")
    lost = [row["name"] for row in rows if not row["self"]]
    found = intervals.share(len(rows) - len(lost), len(rows))
    detail = f"at least; lost: {', '.join(lost[:5])}" if lost else "at least; every one found itself"
    bound, why = _no_stricter_than_live(gate, "self_retrieval", "live_self", bound)
    said = f"{len(lost):,} of {len(rows):,} stored vectors do not find themselves."
    facts = {"interval": ends(found), "lost": lost}
    return Finding(_verdict(found, bound), found.value, len(rows), f"{detail}{why}", bound, found=said, facts=facts)


def ann_recall(gate: GateContext, bound: float | None) -> Finding:
    rows = [row for row in gate.part("asked").get("rows", []) if "recall" in row]
    if not rows:
        return cannot_tell("nothing could be asked" if gate.limits.exact else no_exact(gate.green))
    found = _mean_recall(gate, rows)
    low = sum(row["recall"] < 0.8 for row in rows)
    bound, why = _no_stricter_than_live(gate, "ann_recall@10", "live_recall", bound)
    said = f"Of the ten best answers the index finds {10 * found.value:.1f}."
    return held(found, bound, len(rows), f"{_searched(gate)}; {low} queries below 0.8{why}", said=said)


def filtered_recall(gate: GateContext, bound: float | None) -> Finding:
    found = gate.part("filtered").get("recall") or []
    if not found:
        return cannot_tell("no filter to ask with: name payload fields in validation.slices")
    whole = most_asked(gate) >= _points(gate, len(found) + 1)
    mean = intervals.whole(found) if whole else intervals.mean(found)
    said = f"With a filter the index finds {10 * mean.value:.1f} of the ten best answers."
    return held(mean, bound, len(found), "within the five most frequent values of each slice", said=said)


def _mean_recall(gate: GateContext, rows: list[dict[str, Any]]) -> intervals.Interval:
    """Where every point was asked that can be, the mean is no estimate and has no spread."""
    recalls = [row["recall"] for row in rows]
    if sum("self" in row for row in rows) >= _points(gate, len(rows) + 1):
        return intervals.whole(recalls)
    return intervals.mean(recalls)


def _points(gate: GateContext, unknown: int) -> int:
    """How many points can be asked with a vector of their own."""
    counted = askable(gate)
    return int(gate.part("vectors").get("seen", unknown)) if counted is None else counted


def _no_stricter_than_live(
    gate: GateContext, name: str, measured: str, bound: float | None
) -> tuple[float | None, str]:
    """An index that finds as much as the one it replaces is not worse, whatever our own bound; the
    index file's bound is meant as it stands. What live finds is known once ``attributed`` was asked
    for, which a miss leads to."""
    said = gate.spec.validation.check(name)
    rows = gate.memory.get("attributed", {}).get("rows") or []
    seen = [float(row[measured]) for row in rows if row.get(measured) is not None]
    if bound is None or not seen or (said is not None and said.bound is not None):
        return bound, ""
    live = sum(seen) / len(seen)
    return min(bound, live - _MARGIN), f"; live finds {live:.3f}"


def _verdict(found: intervals.Interval, bound: float | None) -> Verdict:
    if bound is None or found.value >= bound:
        return "pass"
    return "block" if found.high < bound else "inconclusive"


def _searched(gate: GateContext) -> str:
    """A small collection is searched exactly, and then recall says nothing of its index (section 5)."""
    if gate.store.server().embedded or not gate.store.health(gate.green).indexed_vectors:
        return "exact by size: no index to judge"
    return "of exact search on the same collection"
