"""Do points that share a vector say the same? The groups that ``vectors`` has found are looked up with their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.config.vector_kinds import vectors_by_name
from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.gate.evidence.context import GateContext, IsTurnOver
from qdrant_rollouts.core.gate.evidence.equals import weigh_group
from qdrant_rollouts.core.gate.evidence.texts import show_text, sort_words, text_of
from qdrant_rollouts.core.ports import PointId, State

_CHUNK = 16
_EXAMPLES = 3
#: The beginning of a word that its other forms share.
_STEM = 4
#: Points of a group that texts of nearly the same words explain.
_FEW = 3


@dataclass(frozen=True, slots=True)
class _Group:
    """A point, and some that share its vector of that name."""

    name: str
    id: PointId
    later: list[PointId]
    size: int


def collect_twins(gate: GateContext, over: IsTurnOver) -> float | None:
    """Needs the groups of ``vectors``. By vector name: for how many points those that were looked at stand
    (``looked``), how many share their vector with another text (``unlike``), how many with a text that is nearly the
    same (``near``), how many share it so on live too (``before``), and how many have no text (``untold``)."""
    memory = gate.part("twins")
    todo = _list_groups(gate)
    while int(memory.get("at", 0)) < len(todo):
        gate.store.pace(gate.green)
        at = int(memory.get("at", 0))
        _note_groups(gate, memory, todo[at : at + _CHUNK])
        memory["at"] = at + _CHUNK
        if over():
            break
    return None if int(memory.get("at", 0)) >= len(todo) else 0.0


def equal_groups(gate: GateContext) -> Mapping[str, Any]:
    """Raises Refused where a release that did not compare the vectors has read them."""
    memory = gate.part("vectors")
    if "equal" not in memory:
        raise Refused("another release has read the vectors and did not compare them: retry runs it again")
    found: Mapping[str, Any] = memory["equal"]
    return found


def _list_groups(gate: GateContext) -> list[_Group]:
    return [_Group(name, *entry) for name, one in equal_groups(gate).items() for entry in one["some"]]


def _note_groups(gate: GateContext, memory: State, few: Sequence[_Group]) -> None:
    wanted = list(dict.fromkeys(id for group in few for id in (group.id, *group.later)))
    payloads = {point.id: point.payload for point in gate.store.fetch(gate.green, wanted, vectors=False)}
    before = _fetch_live_vectors(gate, wanted)
    for group in few:
        told = {
            one: text_of(gate.plan.templates, payloads.get(one, {}), group.name) for one in (group.id, *group.later)
        }
        how, other = _classify_group(gate, group, told)
        if other is not None and _is_shared_on_live(gate, group, other, before):
            how = "before"
            other = None
        found = memory.setdefault(group.name, {})
        for counted in filter(None, ("looked", how)):
            found[counted] = int(found.get(counted, 0)) + weigh_group(group.later)
        if other is not None:
            pair = [group.id, other, show_text(told[group.id] or ""), show_text(told[other] or "")]
            found["examples"] = [*found.get("examples", []), pair][:_EXAMPLES]


def _fetch_live_vectors(gate: GateContext, ids: Sequence[PointId]) -> Mapping[PointId, Mapping[str, Any]]:
    """Live's vectors of these points, where some of them are nobody's here to make: what their owner has always had is
    no worse for being had again."""
    if gate.live is None or gate.kinds.keys() <= gate.makers.keys():
        return {}
    points = gate.store.fetch(gate.live.collection, ids, vectors=True)
    return {point.id: vectors_by_name(point.vector) for point in points}


def _is_shared_on_live(
    gate: GateContext, group: _Group, other: PointId, before: Mapping[PointId, Mapping[str, Any]]
) -> bool:
    """Did both share their vector on live too?"""
    pair = [before.get(id, {}).get(group.name) for id in (group.id, other)]
    if group.name in gate.makers or any(one is None for one in pair):
        return False
    kind = gate.kinds[group.name][0]
    return kind.digest(pair[0]) == kind.digest(pair[1])


def _classify_group(gate: GateContext, group: _Group, told: Mapping[PointId, str | None]) -> tuple[str, PointId | None]:
    """``unlike``, ``near``, ``untold``, or nothing where the texts are equal; and the point whose text is another.

    Texts that are near (``_is_near``) may have one vector: a model that reads little, or counts words in few
    numbers, makes it of both. That is no excuse for a large group whose vectors nobody can make again."""
    own = told[group.id]
    others = {one: text for one in group.later if (text := told[one]) is not None}
    if own is None or not others:
        return "untold", None
    if gate.kinds[group.name][0].name == "sparse":
        apart = next((one for one, text in others.items() if _is_of_other_words(own, text)), None)
        return ("", None) if apart is None else ("unlike", apart)
    unequal = [one for one, text in others.items() if sort_words(own) != sort_words(text)]
    apart = next((one for one in unequal if not _is_near(own, others[one])), None)
    if apart is not None:
        return "unlike", apart
    if not unequal:
        return "", None
    excused = group.name in gate.makers or group.size <= _FEW
    return ("near" if excused else "unlike"), unequal[0]


def _is_near(one: str, other: str) -> bool:
    """The shorter one has at least half of its words in the other."""
    ours = set(sort_words(one))
    theirs = set(sort_words(other))
    return 2 * len(ours & theirs) >= min(len(ours), len(theirs))


def _is_of_other_words(one: str, other: str) -> bool:
    """A sparse vector of words leaves out the frequent ones and the endings: less than half of the words in common is
    what no such difference explains."""
    ours, theirs = ({word[:_STEM] for word in sort_words(text)} for text in (one, other))
    return 2 * len(ours & theirs) < min(len(ours), len(theirs))
