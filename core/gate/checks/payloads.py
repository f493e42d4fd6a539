"""Do filters still find what they found before?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.collections.readiness import estimate_points
from qdrant_rollouts.core.gate.checks.finding import Finding, Verdict, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.payloads import index_types
from qdrant_rollouts.core.statistics import intervals

#: An index with at most this share of the points it should hold is nearly empty.
_NOTHING = 0.1
#: This many points, or half of all, must have had a field before its absence is more than chance.
_ENOUGH = 10
_MOST = 0.5
#: How much of a field that nearly every live point has may disappear in one rebuild.
_USUAL = 0.9
_KEPT = 0.75
#: If the share of values that the index cannot hold exceeds live's by this much, the field has
#: another form.
_OTHER_FORM = 0.05
#: How far the server's count may differ from what a sample says.
_AGREES = 0.1
#: Fields without an index: on most points of live, and on hardly any of green's.
_GONE = 0.05


@dataclass(frozen=True, slots=True)
class Side:
    """One field of one collection: the shares of a sample of ``n`` that have the field and that its
    index would hold. ``held`` of ``points`` is what the index holds: of all points if the server
    counts them, else of the sample."""

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
    """One collection, read once: its indexes by field, the server's counts of them, and the
    sample."""

    types: Mapping[str, str]
    counts: Mapping[str, int]
    points: int
    sample: Mapping[str, Any]

    def side(self, field: str) -> Side | None:
        """Returns None if the field has no index."""
        if field not in self.types:
            return None
        n = int(self.sample.get("n", 0))
        there, fits = self.sample.get("indexed", {}).get(field, (0, 0))
        if field not in self.counts:
            return Side(
                n, n, _ratio_or_zero(there, n), _ratio_or_zero(fits, n), float(fits), counted=False
            )
        # an index may still count deleted points
        held = float(min(self.counts[field], self.points))
        return Side(
            self.points, n, _ratio_or_zero(there, n), _ratio_or_zero(fits, n), held, counted=True
        )


_NOBODY = InspectedSide({}, {}, 0, {})


def judge_payload_coverage(gate: GateContext, bound: float | None) -> Finding:
    """For each payload index, the points it holds, compared with live's index and with the source.
    The check blocks an index that is nearly empty, and a field whose values came in another form.
    It also blocks a collection without any payload if live has payload and no source explains the
    loss."""
    memory = gate.part("payloads")
    green = _inspect_side(gate, "green")
    live = _inspect_side(gate, "live")
    fields = {*green.types, *live.types} - gate.spec.collection.dropped_indexes
    if fields and not memory.get("green", {}).get("n"):
        return cannot_tell("no point could be looked at")
    rows = [
        _row_of_field(gate, field, green.side(field), live.side(field)) for field in sorted(fields)
    ]
    gone, changed = _find_unindexed(memory, fields | gate.spec.collection.dropped_indexes)
    blocked = [row for row in rows if row["verdict"] == "block"]
    held_up = [row for row in rows if row["verdict"] == "inconclusive"]
    lost = _find_emptied(gate, memory)
    verdict: Verdict = "pass"
    if held_up:
        verdict = "inconclusive"
    if blocked or lost:
        verdict = "block"
    told = [row["words"] for row in [*blocked, *held_up]] or [
        f"{len(rows)} payload indexes hold what they held"
    ]
    if lost:
        told = [f"no point has a payload any more; on live they have {', '.join(lost)}", *told]
    told += [
        f"{field} was dropped, as declared"
        for field in sorted(gate.spec.collection.dropped_indexes)
    ]
    told += _describe_losses(gone, changed)
    facts: dict[str, Any] = {"indexes": rows, "gone": gone, "changed": changed, "lost": lost}
    n = int(memory.get("green", {}).get("n", 0))
    words = "; ".join(told)
    return Finding(
        verdict,
        float(len(blocked) + len(held_up) + bool(lost)),
        n,
        words,
        0.0,
        found=words,
        facts=facts,
    )


def _row_of_field(
    gate: GateContext, field: str, green: Side | None, live: Side | None
) -> dict[str, Any]:
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
    """Without an index there is nothing to count; ``payload_schema`` reports that."""
    if green is None:
        return "pass", "no index here"
    if _is_in_another_form(green, live):
        example = gate.part("payloads")["green"]["examples"].get(field, "")
        return (
            "block",
            f"{_describe_held(gate, green, live)}; it is there in another form, such as {example}",
        )
    wanted = {"live": _expected_points(green, live), "the source": (source or 0.0) * green.points}
    for whose, expected in wanted.items():
        if _is_significant(expected, green.points) and green.held <= _NOTHING * expected:
            return (
                "block",
                f"{_describe_held(gate, green, live)}; by {whose} about {expected:,.0f} should "
                "have it",
            )
    if live is not None and _is_usual(live) and green.held < _KEPT * wanted["live"]:
        return (
            "inconclusive",
            f"{_describe_held(gate, green, live)}, where it is on nearly every point",
        )
    return "pass", _describe_held(gate, green, live)


def _is_in_another_form(green: Side, live: Side | None) -> bool:
    """Without a live collection only a field that hardly ever has the index's type counts: values
    that no index holds, such as "n/a", may always have been there."""
    if green.counted and green.held > (green.fits + _AGREES) * green.points:
        return False  # the server holds values that we would count as another form
    if live is None:
        return (
            _is_significant(green.there * green.n, green.n) and green.fits <= _NOTHING * green.there
        )
    found = intervals.share_interval(round(green.other_form * green.n), green.n)
    return found.low > live.other_form + _OTHER_FORM


def _is_significant(expected: float, points: int) -> bool:
    return expected >= 1 and (expected >= _ENOUGH or expected >= _MOST * points)


def _is_usual(live: Side) -> bool:
    return live.held >= _ENOUGH and live.held >= _USUAL * live.points


def _expected_points(green: Side, live: Side | None) -> float:
    """What live's index holds, reduced in proportion if green is smaller."""
    if live is None or not live.points:
        return 0.0
    return live.held * min(1.0, green.points / live.points)


def _describe_held(gate: GateContext, green: Side, live: Side | None) -> str:
    sample = "" if green.counted else " of a sample"
    here = f"the index holds {green.held:,.0f} of {green.points:,} points{sample}"
    if live is None:
        return here
    return f"{here}, live's {live.held:,.0f} of {live.points:,}"


def _inspect_side(gate: GateContext, side: str) -> InspectedSide:
    if side == "live" and gate.live is None:
        return _NOBODY
    collection = gate.live.collection if side == "live" and gate.live else gate.green
    counts = gate.store.index_counts(collection)
    points = 0
    if counts:
        points = estimate_points(gate.store, collection)
    return InspectedSide(
        index_types(gate, side), counts, points, gate.part("payloads").get(side, {})
    )


def _source_share(gate: GateContext, field: str) -> float | None:
    """The share of the source's records whose value the index would hold; None if they were not
    read."""
    for found, n in (
        (
            gate.memory.get("origin", {}).get("fields", {}),
            gate.memory.get("origin", {}).get("rows", 0),
        ),
        (
            gate.part("payloads").get("source", {}).get("indexed", {}),
            gate.part("payloads").get("source", {}).get("n"),
        ),
    ):
        if n and field in found:
            return _rounded_share(found[field][1], int(n))
    return None


def _find_emptied(gate: GateContext, memory: Mapping[str, Any]) -> list[str]:
    """Returns live's usual fields, if no point of green has any field and no source explains it."""
    live = memory.get("live") or {}
    green = memory.get("green") or {}
    if gate.source is not None or not live.get("n") or not green.get("n"):
        return []
    if any(
        _rounded_share(sum(kinds.values()), green["n"]) >= _GONE
        for kinds in green["fields"].values()
    ):
        return []
    return [
        field
        for field, kinds in live["fields"].items()
        if _rounded_share(sum(kinds.values()), live["n"]) > _MOST
    ]


def _find_unindexed(
    memory: Mapping[str, Any], known: set[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns fields that most live points and hardly any of green's have, and fields of another
    type. A filter needs no index, so nobody can tell whether applications filter by them: they are
    only shown."""
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
        elif (
            before > _MOST
            and here
            and (one := _usual_kind(kinds)) != (other := _usual_kind(here))
            and one
            and other
        ):
            changed.append({"field": field, "live": one, "now": other})
    return gone, changed


def _usual_kind(kinds: Mapping[str, int]) -> str:
    """Returns the type of nearly all values; empty if there is none."""
    word, count = max(kinds.items(), key=lambda one: one[1])
    if count >= _USUAL * sum(kinds.values()):
        return word
    return ""


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
