"""Do the records still have their own texts, or has one text replaced many?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext, LiveCollection
from qdrant_rollouts.core.gate.evidence.probes import vector_of_row
from qdrant_rollouts.core.gate.evidence.texts import most_frequent
from qdrant_rollouts.core.sanitize.quoting import quote_value
from qdrant_rollouts.core.statistics import intervals

#: Share of the records of both collections that may have another text at once.
CHANGED = 0.5
#: An index of fewer points is small: a person may rewrite all of its texts in an evening.
_SMALL = 30
#: In a small index, this many lost texts, and more than this share of all, are more than an
#: evening's work.
_SEVERAL = 3
_SMALL_SHARE = 0.2
#: A sample needs this many texts, and searches, to say anything about the whole.
_TEXTS = 10
_SEARCHES = 30
#: Up to half of the records may have the same text.
_ONE_TEXT = 0.5
#: The share of distinct texts may fall by this much more than the uncertainty of the two samples.
_FEWER = 0.05
#: Of the answers that unchanged records allow to stay, at least this share does. Measured over
#: seeds: 0.89 to 1.13 after edits, growth and deletions, 0.34 to 0.53 where 60 % of the texts
#: became one.
_STAYED = 0.6
MEANS = (
    "Searches may find one text under many names, such as a sign-in page, or texts that nobody "
    "meant to publish."
)
ACT = (
    "Read the two texts side by side. If the source is wrong, correct it, abort and deploy again. "
    "If the change is intended, promote. If it happens each time, give the share of records that "
    "may change at once as the bound of `collapse`."
)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Something that a person must look at: ``said`` in a sentence, ``value`` compared with
    ``bound``."""

    said: str
    value: float
    bound: float


def judge_collapse(gate: GateContext, bound: float | None) -> Finding:
    """A crawl that gets the sign-in page for every address returns as many records as before, each
    equal to the source. So the check counts in a sample how many texts are distinct, on green and
    on live. It also counts how many records of both collections changed their text at once (the
    bound), and, with one model, whether answers stayed as far as unchanged records allow. If the
    template or the chunks are newly declared, all texts may change. A small index, and a first
    deployment, are judged only by the distinct texts."""
    memory = gate.part("texts")
    green: Sequence[str] = memory.get("green", [])
    facts = _facts_of_texts(gate, memory)
    if not green:
        if gate.store.count(gate.green) == 0:
            return cannot_tell("the collection is empty")
        said = "no payload has a text: what the records say cannot be compared"
        return Finding("pass", None, 0, said, found=said)
    points = gate.store.count(gate.green)
    doubts = list(_find_repeated(memory, whole=len(green) >= points))
    if gate.live is not None and min(points, gate.store.count(gate.live.collection)) < _SMALL:
        doubts += _find_fewer_of_few(memory)
    elif gate.live is not None:
        doubts += [
            *_find_fewer(memory),
            *_find_changed(memory, bound),
            *_find_lost_answers(gate, gate.live, memory),
        ]
    n = len(green)
    if doubts:
        first, *others = doubts
        details = [doubt.said for doubt in others]
        if memory.get("examples"):
            details.append(_describe_examples(memory))
        return Finding(
            "inconclusive",
            first.value,
            n,
            "; ".join(details) or first.said,
            bound=first.bound,
            found=f"{first.said}.",
            facts=facts,
        )
    share = int(memory.get("changed", 0)) / max(1, int(memory.get("common", 0)))
    said = f"{len(set(green))} distinct texts in a sample of {n}"
    common = int(memory.get("common", 0))
    if common:
        said += f"; of {common} records that live also has, {share:.0%} changed their text"
    return Finding("pass", share, n, said, found=said, facts=facts)


def _find_repeated(memory: Mapping[str, Any], *, whole: bool) -> Iterator[_Doubt]:
    """One text that most of the sample has, unless live has it as often. If every text was read,
    there is no sampling error; a pair does not count."""
    green = memory["green"]
    live = memory.get("live", [])
    digest, times = most_frequent(green)
    before = 0.0
    if live:
        before = intervals.share_interval(live.count(digest), len(live)).high
    found = intervals.share_interval(times, len(green))
    least = found.low
    if whole and times >= _SEVERAL:
        least = found.value
    if least > max(_ONE_TEXT, before):
        text = memory.get("repeated", {}).get(digest, "")
        yield _Doubt(
            f"{times} of {len(green)} records say the same: {quote_value(text)}",
            found.value,
            _ONE_TEXT,
        )


def _find_fewer(memory: Mapping[str, Any]) -> Iterator[_Doubt]:
    """Counts equally many texts on each side, because in a larger sample more texts repeat."""
    live = memory.get("live", [])
    n = min(len(live), len(memory["green"]))
    if n < _TEXTS:
        return
    ours, theirs = (len(set(side[:n])) for side in (memory["green"], live))
    wanted = intervals.share_interval(theirs, n).low - _FEWER
    if intervals.share_interval(ours, n).high < wanted:
        yield _Doubt(
            f"{n} records have {ours} distinct texts, on live {n} have {theirs}", ours / n, wanted
        )


def _find_fewer_of_few(memory: Mapping[str, Any]) -> Iterator[_Doubt]:
    """Reads all texts of a small index; they may be rewritten and still be distinct."""
    live = memory.get("live", [])
    n = min(len(live), len(memory["green"]))
    ours, theirs = (len(set(side[:n])) for side in (memory["green"], live))
    if theirs - ours >= _SEVERAL and theirs - ours > _SMALL_SHARE * n:
        yield _Doubt(
            f"{n} records have {ours} distinct texts, on live {n} have {theirs}",
            ours / n,
            theirs / n,
        )


def _find_changed(memory: Mapping[str, Any], bound: float | None) -> Iterator[_Doubt]:
    common = int(memory.get("common", 0))
    changed = int(memory.get("changed", 0))
    most = CHANGED if bound is None else bound
    if common < _TEXTS or memory.get("anew"):
        return
    if intervals.share_interval(changed, common).low > most:
        said = f"{changed} of {common} records that live also has changed their text at once"
        yield _Doubt(said, changed / common, most)


def _find_lost_answers(
    gate: GateContext, live: LiveCollection, memory: Mapping[str, Any]
) -> Iterator[_Doubt]:
    """As many of a search's answers stay as there are unchanged records among those of either
    collection."""
    asked = [
        row for row in gate.part("asked").get("rows", []) if vector_of_row(gate, row) == gate.vector
    ]
    rows = [row["live"]["rbo"] for row in asked if "rbo" in row.get("live", {})]
    if not live.same_model or memory.get("anew"):
        return
    if len(rows) < _SEARCHES or int(memory.get("common", 0)) < _TEXTS:
        return
    allowed = _unchanged_share(gate, live, memory)
    found = intervals.mean_interval(rows)
    if found.high < _STAYED * allowed:
        said = f"overlap with live is {found.value:.2f}, and unchanged records allow {allowed:.2f}"
        yield _Doubt(said, found.value, _STAYED * allowed)


def _unchanged_share(gate: GateContext, live: LiveCollection, memory: Mapping[str, Any]) -> float:
    """The smaller share of unchanged records among the points of either collection."""
    same = int(memory["common"]) - int(memory.get("changed", 0))
    here = gate.store.count(gate.green)
    there = gate.store.count(live.collection)
    of_green = same / len(memory["green"])
    if not there:
        return 0.0
    return min(of_green, of_green * here / there)


def _describe_examples(memory: Mapping[str, Any]) -> str:
    id, before, now = memory["examples"][0]
    return f"{id} said {quote_value(before)} and says {quote_value(now)}"


def _facts_of_texts(gate: GateContext, memory: Mapping[str, Any]) -> dict[str, Any]:
    green = memory.get("green", [])
    live = memory.get("live", [])
    return {
        "sampled": len(green),
        "distinct": len(set(green)),
        "live_sampled": len(live),
        "live_distinct": len(set(live)),
        "common": int(memory.get("common", 0)),
        "changed": int(memory.get("changed", 0)),
        "declared_anew": bool(memory.get("anew")),
        "side_by_side": [
            {"id": id, "live": before, "green": now}
            for id, before, now in memory.get("examples", [])
        ],
    }
