"""Do points that share a vector have the same text? Compares the texts of the groups that
``vectors`` has found."""

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
#: Largest group that texts with nearly the same words explain.
_FEW = 3


@dataclass(frozen=True, slots=True)
class _Group:
    """A point, and some that share its vector of that name."""

    name: str
    id: PointId
    later: list[PointId]
    size: int


def collect_twins(gate: GateContext, over: IsTurnOver) -> float | None:
    """Needs the groups of ``vectors``. By vector name: how many points the compared ones stand for
    (``looked``), how many share their vector with another text (``unlike``), with a nearly equal
    text (``near``), in the same way on live (``before``), and how many have no text (``untold``).
    """
    memory = gate.part("twins")
    todo = _list_groups(gate)
    while int(memory.get("at", 0)) < len(todo):
        gate.store.pace(gate.green)
        at = int(memory.get("at", 0))
        _note_groups(gate, memory, todo[at : at + _CHUNK])
        memory["at"] = at + _CHUNK
        if over():
            break
    if int(memory.get("at", 0)) >= len(todo):
        return None
    return 0.0


def equal_groups(gate: GateContext) -> Mapping[str, Any]:
    """Raises Refused if a release that did not compare the vectors has read them."""
    memory = gate.part("vectors")
    if "equal" not in memory:
        raise Refused(
            "another release has read the vectors and did not compare them: retry runs it again"
        )
    found: Mapping[str, Any] = memory["equal"]
    return found


def _list_groups(gate: GateContext) -> list[_Group]:
    return [
        _Group(name, *entry) for name, one in equal_groups(gate).items() for entry in one["some"]
    ]


def _note_groups(gate: GateContext, memory: State, few: Sequence[_Group]) -> None:
    wanted = list(dict.fromkeys(id for group in few for id in (group.id, *group.later)))
    payloads = {
        point.id: point.payload for point in gate.store.fetch(gate.green, wanted, vectors=False)
    }
    before = _fetch_live_vectors(gate, wanted)
    for group in few:
        told = {
            one: text_of(gate.plan.templates, payloads.get(one, {}), group.name)
            for one in (group.id, *group.later)
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


def _fetch_live_vectors(
    gate: GateContext, ids: Sequence[PointId]
) -> Mapping[PointId, Mapping[str, Any]]:
    """Returns live's vectors of these points, if no declared model makes some of them: a fault that
    live has in the same way does not count."""
    if gate.live is None or gate.kinds.keys() <= gate.makers.keys():
        return {}
    points = gate.store.fetch(gate.live.collection, ids, vectors=True)
    return {point.id: vectors_by_name(point.vector) for point in points}


def _is_shared_on_live(
    gate: GateContext, group: _Group, other: PointId, before: Mapping[PointId, Mapping[str, Any]]
) -> bool:
    """Did both points share their vector on live too?"""
    pair = [before.get(id, {}).get(group.name) for id in (group.id, other)]
    if group.name in gate.makers or any(one is None for one in pair):
        return False
    kind = gate.kinds[group.name][0]
    return kind.digest(pair[0]) == kind.digest(pair[1])


def _classify_group(
    gate: GateContext, group: _Group, told: Mapping[PointId, str | None]
) -> tuple[str, PointId | None]:
    """Returns ``unlike``, ``near``, ``untold``, or nothing if the texts are equal; and the point
    with another text.

    Near texts (``_is_near``) may share a vector: a model that reads little, or counts words in few
    numbers, makes it of both. That does not excuse a large group whose vectors cannot be made
    again.
    """
    own = told[group.id]
    others = {one: text for one in group.later if (text := told[one]) is not None}
    if own is None or not others:
        return "untold", None
    if gate.kinds[group.name][0].name == "sparse":
        apart = next((one for one, text in others.items() if _is_of_other_words(own, text)), None)
        if apart is None:
            return ("", None)
        return ("unlike", apart)
    unequal = [one for one, text in others.items() if sort_words(own) != sort_words(text)]
    apart = next((one for one in unequal if not _is_near(own, others[one])), None)
    if apart is not None:
        return "unlike", apart
    if not unequal:
        return "", None
    excused = group.name in gate.makers or group.size <= _FEW
    return ("near" if excused else "unlike"), unequal[0]


def _is_near(one: str, other: str) -> bool:
    """At least half of the words of the shorter text are in the other."""
    ours = set(sort_words(one))
    theirs = set(sort_words(other))
    return 2 * len(ours & theirs) >= min(len(ours), len(theirs))


def _is_of_other_words(one: str, other: str) -> bool:
    """Sparse vectors of words leave out frequent words and endings, but that does not explain fewer
    than half of the words in common."""
    ours, theirs = ({word[:_STEM] for word in sort_words(text)} for text in (one, other))
    return 2 * len(ours & theirs) < min(len(ours), len(theirs))
