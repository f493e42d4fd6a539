"""Is what did not change in the source also unchanged in the new collection?"""

from collections.abc import Mapping
from typing import Any

from qdrant_rollouts.core.gate.checks.finding import Finding
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.statistics import intervals

#: As many unexplained changes as a healthy rebuild may have.
_EXCUSED = 0.1
#: Two records that changed places are an edit.
_SWAPPED = 2
MEANS = (
    "Unchanged records are found by other searches than before: ids have moved, vectors were lost, "
    "or a "
    "part of them is of another model."
)
ACT = (
    "Compare one of the named records on both sides. If the application has changed the model of "
    "the vectors it "
    "brings, deploy once with `validation.checks.unchanged: false`; if it numbers its records anew "
    "each time, give "
    "them ids of their own."
)


def judge_unchanged(gate: GateContext, bound: float | None) -> Finding:
    """Compares up to 300 records that both collections have with the same text. Their vectors must
    be equal under every name that the same model made, that was carried over, or that came with the
    records both times; ``bound`` is the share of records that may differ. If live has the texts
    under other ids, the ids have moved. A different payload comes from the source; if no source is
    known, a person looks at it."""
    memory = gate.part("unchanged")
    n = int(memory.get("same", 0))
    wrong = int(memory.get("wrong", 0))
    facts = _facts_of_records(memory)
    if wrong > (bound or 0.0) * n:
        kinds = memory["faults"].items()
        counts = (
            f"{number} {fault} {name}".strip()
            for name, faults in kinds
            for fault, number in faults.items()
        )
        detail = f"{', '.join(counts)}; such as {', '.join(memory['examples'])}"
        said = (
            f"{wrong} of {n} records with the same text as on live have other vectors: "
            f"{', '.join(memory['examples'])}"
        )
        return Finding("block", wrong / n, n, detail, found=said, facts=facts)
    return (
        _judge_moved(memory, facts)
        or _judge_given(memory, facts)
        or _judge_payloads(gate, memory, facts)
        or _judge_same(memory, facts)
    )


def _judge_moved(memory: Mapping[str, Any], facts: Mapping[str, Any]) -> Finding | None:
    """Chunks of one document do not count, because they move with each paragraph."""
    moved = len(memory.get("moved", []))
    sought = int(memory.get("sought", 0))
    if moved <= _SWAPPED:
        return None
    changed = int(memory["changed"]) / int(memory["common"])
    if intervals.share_interval(moved, sought).low * changed <= _EXCUSED:
        return None
    said = (
        f"of {sought} records with another text than on live, {moved} have the text that live has "
        "under another id: "
        f"{', '.join(memory['moves'])}"
    )
    return Finding(
        "block", changed * moved / sought, int(memory["common"]), said, found=said, facts=facts
    )


def _judge_given(memory: Mapping[str, Any], facts: Mapping[str, Any]) -> Finding | None:
    for name, counts in memory.get("loose", {}).items():
        other = int(counts["other"])
        of = int(counts["of"])
        if other > 1 and intervals.share_interval(other, of).low > _EXCUSED:
            said = (
                f"{other} of {of} records with the same text came with another "
                f"vector {name}".rstrip()
            )
            return Finding("block", other / of, of, said, found=said, facts=facts)
    return None


def _judge_payloads(
    gate: GateContext, memory: Mapping[str, Any], facts: Mapping[str, Any]
) -> Finding | None:
    n = int(memory.get("same", 0))
    other = int(memory.get("payloads", 0))
    if gate.source is not None or other <= 1 or intervals.share_interval(other, n).low <= _EXCUSED:
        return None
    fields = ", ".join(memory["fields"])
    said = (
        f"{other} of {n} records with the same text have another payload than on live, with no "
        "source to explain it"
    )
    said += f": {fields}"
    return Finding("inconclusive", other / n, n, said, found=said, facts=facts)


def _judge_same(memory: Mapping[str, Any], facts: Mapping[str, Any]) -> Finding:
    n = int(memory.get("same", 0))
    vectors = int(memory.get("vectors", 0))
    if not n:
        common = int(memory.get("common", 0))
        said = (
            f"none of {common} records that both collections have says the same in both: nothing "
            "to compare"
        )
        return Finding("pass", None, 0, said, found=said, facts=facts)
    other = int(memory.get("payloads", 0))
    said = f"{vectors} vectors of {n} records with the same text as on live are the same"
    if other:
        said += f"; {other} have another payload, as the source has it"
    said += "".join(
        f"; {name or 'the vector'} not compared: {why}"
        for name, why in memory["names"].items()
        if why
    )
    return Finding("pass", int(memory.get("wrong", 0)) / n, n, said, found=said, facts=facts)


def _facts_of_records(memory: Mapping[str, Any]) -> dict[str, Any]:
    kept = (
        "common",
        "changed",
        "same",
        "vectors",
        "faults",
        "loose",
        "payloads",
        "fields",
        "moves",
        "names",
    )
    return {name: memory[name] for name in kept if name in memory}
