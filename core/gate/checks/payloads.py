"""Do filters still find what they found?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.gate.checks.finding import Finding, Verdict, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.payloads import index_types
from qdrant_rollouts.core.statistics import intervals

#: An index that holds no more than this share of what it should holds nearly nothing.
_NOTHING = 0.1
#: So many points, or the half of all, must have had a field for its absence to be no chance.
_ENOUGH = 10
_MOST = 0.5
#: Of a field that nearly every live point has, so much may go from one rebuild to the next.
_USUAL = 0.9
_KEPT = 0.75
#: Values of a form that the index does not hold: so much more than in the live collection is another form.
_OTHER_FORM = 0.05
#: What the server counts may lie so far from what a sample says.
_AGREES = 0.1
#: Fields without an index: on most points of live, and on hardly any of green.
_GONE = 0.05


@dataclass(frozen=True, slots=True)
class Side:
    """One field of one collection: shares of a sample of ``n`` that have it and that its index would hold. ``held`` of
    ``points`` is what the index holds: of all points where the server counts them, else of the sample."""

    points: int
    n: int
    there: float
    fits: float
    held: float
    counted: bool

    @property
    def other_form(self) -> float:
        return self.there - self.fits


@dataclass(frozen=True, slots=True)
class InspectedSide:
    """One collection, asked once: its indexes by field, what the server counts in them, and the sample."""

    types: Mapping[str, str]
    counts: Mapping[str, int]
    points: int
    sample: Mapping[str, Any]

    def side(self, field: str) -> Side | None:
        """None where there is no index on the field."""
        if field not in self.types:
            return None
        n = int(self.sample.get("n", 0))
        there, fits = self.sample.get("indexed", {}).get(field, (0, 0))
        if field not in self.counts:
            return Side(n, n, _ratio_or_zero(there, n), _ratio_or_zero(fits, n), float(fits), counted=False)
        held = float(min(self.counts[field], self.points))  # an index may still count what was deleted
        return Side(self.points, n, _ratio_or_zero(there, n), _ratio_or_zero(fits, n), held, counted=True)


_NOBODY = InspectedSide({}, {}, 0, {})


def judge_payload_coverage(gate: GateContext, bound: float | None) -> Finding:
    """By payload index, the points it holds against those that live's holds and those the source has. An index that
    holds nearly nothing of what it should blocks, and so does a field whose values came in another form. So does a
    collection without any payload where live has one and no source explains it."""
    memory = gate.part("payloads")
    green = _inspect_side(gate, "green")
    live = _inspect_side(gate, "live")
    fields = {*green.types, *live.types} - gate.spec.collection.dropped_indexes
    if fields and not memory.get("green", {}).get("n"):
        return cannot_tell("no point could be looked at")
    rows = [_row_of_field(gate, field, green.side(field), live.side(field)) for field in sorted(fields)]
    gone, changed = _find_unindexed(memory, fields | gate.spec.collection.dropped_indexes)
    blocked = [row for row in rows if row["verdict"] == "block"]
    held_up = [row for row in rows if row["verdict"] == "inconclusive"]
    lost = _find_emptied(gate, memory)
    verdict: Verdict = "inconclusive" if held_up else "pass"
    if blocked or lost:
        verdict = "block"
    told = [row["words"] for row in [*blocked, *held_up]] or [f"{len(rows)} payload indexes hold what they held"]
    told = [f"no point has a payload any more; on live they have {', '.join(lost)}", *told] if lost else told
    told += [f"{field} was dropped, as declared" for field in sorted(gate.spec.collection.dropped_indexes)]
    told += _describe_losses(gone, changed)
    facts: dict[str, Any] = {"indexes": rows, "gone": gone, "changed": changed, "lost": lost}
    n = int(memory.get("green", {}).get("n", 0))
    words = "; ".join(told)
    return Finding(verdict, float(len(blocked) + len(held_up) + bool(lost)), n, words, 0.0, found=words, facts=facts)


def _row_of_field(gate: GateContext, field: str, green: Side | None, live: Side | None) -> dict[str, Any]:
    source = _source_share(gate, field)
    verdict, why = _judge_field(gate, field, green, live, source)
    return {
        "field": field,
        "type": index_types(gate, "green").get(field),
        "points": None if green is None else round(green.held),
        "live": None if live is None else round(live.held),
        "of_a_sample": green is not None and not green.counted,
        "share": None if green is None else _rounded_share(green.held, green.points),
        "live_share": None if live is None else _rounded_share(live.held, live.points),
        "source_share": source,
        "verdict": verdict,
        "words": f"{field}: {why}",
    }


def _judge_field(
    gate: GateContext, field: str, green: Side | None, live: Side | None, source: float | None
) -> tuple[Verdict, str]:
    """Without an index there is nothing to count; ``payload_schema`` says that."""
    if green is None:
        return "pass", "no index here"
    if _is_in_another_form(green, live):
        example = gate.part("payloads")["green"]["examples"].get(field, "")
        return "block", f"{_describe_held(gate, green, live)}; it is there in another form, such as {example}"
    wanted = {"live": _expected_points(green, live), "the source": (source or 0.0) * green.points}
    for whose, expected in wanted.items():
        if _is_significant(expected, green.points) and green.held <= _NOTHING * expected:
            return "block", f"{_describe_held(gate, green, live)}; by {whose} about {expected:,.0f} should have it"
    if live is not None and _is_usual(live) and green.held < _KEPT * wanted["live"]:
        return "inconclusive", f"{_describe_held(gate, green, live)}, where it is on nearly every point"
    return "pass", _describe_held(gate, green, live)


def _is_in_another_form(green: Side, live: Side | None) -> bool:
    """Without a live collection only a field that is hardly ever of the index's type is one: values that no index
    holds, such as "n/a", may have been there for ever."""
    if green.counted and green.held > (green.fits + _AGREES) * green.points:
        return False  # the server holds what we take for another form
    if live is None:
        return _is_significant(green.there * green.n, green.n) and green.fits <= _NOTHING * green.there
    found = intervals.share_interval(round(green.other_form * green.n), green.n)
    return found.low > live.other_form + _OTHER_FORM


def _is_significant(expected: float, points: int) -> bool:
    return expected >= 1 and (expected >= _ENOUGH or expected >= _MOST * points)


def _is_usual(live: Side) -> bool:
    return live.held >= _ENOUGH and live.held >= _USUAL * live.points


def _expected_points(green: Side, live: Side | None) -> float:
    """What live's index holds, less in proportion where green is smaller."""
    if live is None or not live.points:
        return 0.0
    return live.held * min(1.0, green.points / live.points)


def _describe_held(gate: GateContext, green: Side, live: Side | None) -> str:
    sample = "" if green.counted else " of a sample"
    here = f"the index holds {green.held:,.0f} of {green.points:,} points{sample}"
    return here if live is None else f"{here}, live's {live.held:,.0f} of {live.points:,}"


def _inspect_side(gate: GateContext, side: str) -> InspectedSide:
    if side == "live" and gate.live is None:
        return _NOBODY
    collection = gate.live.collection if side == "live" and gate.live else gate.green
    counts = gate.store.index_counts(collection)
    points = estimate_points(gate.store, collection) if counts else 0
    return InspectedSide(index_types(gate, side), counts, points, gate.part("payloads").get(side, {}))


def _source_share(gate: GateContext, field: str) -> float | None:
    """Of the source's records, those whose value the index would hold; None where they were not looked at."""
    for found, n in (
        (gate.memory.get("origin", {}).get("fields", {}), gate.memory.get("origin", {}).get("rows", 0)),
        (gate.part("payloads").get("source", {}).get("indexed", {}), gate.part("payloads").get("source", {}).get("n")),
    ):
        if n and field in found:
            return _rounded_share(found[field][1], int(n))
    return None


# --- fields without an index ------------------------------------------------------------------------------------


def _find_emptied(gate: GateContext, memory: Mapping[str, Any]) -> list[str]:
    """Live's usual fields, where here no point has any field at all and no source is there to explain it."""
    live = memory.get("live") or {}
    green = memory.get("green") or {}
    if gate.source is not None or not live.get("n") or not green.get("n"):
        return []
    if any(_rounded_share(sum(kinds.values()), green["n"]) >= _GONE for kinds in green["fields"].values()):
        return []
    return [field for field, kinds in live["fields"].items() if _rounded_share(sum(kinds.values()), live["n"]) > _MOST]


def _find_unindexed(memory: Mapping[str, Any], known: set[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Fields that most live points have and hardly any of green's, and those that are of another type. A filter needs
    no index, so nobody can tell whether one is asked by them: they are shown."""
    live = memory.get("live") or {}
    green = memory.get("green") or {}
    if not live.get("n") or not green.get("n"):
        return [], []
    gone = []
    changed = []
    for field, kinds in live["fields"].items():
        if field in known:
            continue
        here = green["fields"].get(field, {})
        before = _rounded_share(sum(kinds.values()), live["n"])
        now = _rounded_share(sum(here.values()), green["n"])
        if before > _MOST and now < _GONE:
            gone.append({"field": field, "live_share": before, "share": now})
        elif before > _MOST and here and (one := _usual_kind(kinds)) != (other := _usual_kind(here)) and one and other:
            changed.append({"field": field, "live": one, "now": other})
    return gone, changed


def _usual_kind(kinds: Mapping[str, int]) -> str:
    """What nearly all values are, or nothing."""
    word, count = max(kinds.items(), key=lambda one: one[1])
    return word if count >= _USUAL * sum(kinds.values()) else ""


def _describe_losses(gone: list[dict[str, Any]], changed: list[dict[str, Any]]) -> list[str]:
    told = []
    if gone:
        names = ", ".join(one["field"] for one in gone)
        told.append(f"no longer there, without an index: {names} (filters by it find nothing)")
    if changed:
        kinds = ", ".join(f"{one['field']} ({one['live']} -> {one['now']})" for one in changed)
        told.append(f"of another type now, without an index: {kinds}")
    return told


def _rounded_share(part: float, whole: int) -> float:
    return round(_ratio_or_zero(part, whole), 4)


def _ratio_or_zero(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
