"""Do points of different texts share one vector?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.gate.checks.finding import Finding, cannot_tell
from qdrant_rollouts.core.gate.evidence.context import GateContext
from qdrant_rollouts.core.gate.evidence.twins import equal_groups
from qdrant_rollouts.core.sanitize.quoting import quote_value

TWINS = 0.02
MEANS = (
    "Searches find such points together or not at all, whatever the query: nothing distinguishes "
    "them."
)
ACT = (
    "Look at the two texts. Where a model reads only their beginning, cut them by "
    "`embedding.chunk`; other equal "
    "vectors of unlike texts come from a fault of what made them. A number sets another bound."
)
#: One pair of texts that a model cannot distinguish is not a fault of an index, unless the index
#: has no other points.
_PAIR = 2
_ALL = 0.5
#: Similar texts do not explain a vector that more than half of the points have.
_ONE_VECTOR = 0.5
#: This many equal vectors without a text that explains them are not healthy, unless the index is
#: small.
_UNTOLD = 0.5
_ENOUGH = 30


@dataclass(frozen=True, slots=True)
class _Shares:
    """For one vector: how many points were checked, and the share of those that have the same
    vector as another text, as any point, and as a point whose text is unknown."""

    name: str
    n: int
    unlike: float
    equal: float
    untold: float

    @property
    def called(self) -> str:
        return self.name or "the vector"

    def over(self, bound: float) -> bool:
        several = self.unlike * self.n > _PAIR + 0.5 or self.unlike > _ALL
        return self.unlike > bound and several


def judge_twins(gate: GateContext, bound: float | None) -> Finding:
    """The share of points whose vector equals, number by number, that of a point with another text,
    whatever the model makes of the two. Equal texts rightly share a vector. So may texts with most
    words in common, if a model is declared or the group is small. While every vector is read, a
    sample of points is compared with all later ones, so 3 % can be distinguished from 2 % in
    collections of any size; a small collection is counted completely."""
    assert bound is not None
    found = [_measure_shares(gate, name, one) for name, one in equal_groups(gate).items()]
    if not found:
        return cannot_tell("the collection holds no vector to look at")
    worst = max(found, key=lambda one: (one.over(bound), one.unlike))
    facts = {
        "by_vector": {
            one.name: {"n": one.n, "unlike": one.unlike, "equal": one.equal} for one in found
        }
    }
    detail = ", ".join(
        f"{one.unlike:.1%} of {one.called} shared with another text, {one.equal:.1%} with any"
        for one in found
    )
    if worst.over(bound):
        examples = gate.part("twins")[worst.name]["examples"]
        first, second, one, other = examples[0]
        said = (
            f"{first} says {quote_value(one)} and {second} says {quote_value(other)}, and both "
            "have one vector"
        )
        return Finding(
            "block",
            worst.unlike,
            worst.n,
            f"{detail}; {said}",
            found=said,
            facts={**facts, "pairs": examples},
        )
    blind = next((one for one in found if one.untold > _UNTOLD and one.n >= _ENOUGH), None)
    if blind is not None:
        said = (
            f"{blind.untold:.0%} of the points share a vector ({blind.called}), and no payload "
            "says what they are of"
        )
        return Finding("inconclusive", blind.untold, blind.n, said, found=said, facts=facts)
    said = (
        f"{worst.unlike:.1%} of {worst.n:,} points share their vector with a point of another text"
    )
    return Finding("pass", worst.unlike, worst.n, detail, found=said, facts=facts)


def _measure_shares(gate: GateContext, name: str, one: Mapping[str, Any]) -> _Shares:
    n = int(one["of"])
    looked = gate.part("twins").get(name, {})
    share = int(one["equal"]) / n
    each = share / max(1, int(looked.get("looked", 0)))
    unlike = int(looked.get("unlike", 0)) + (
        int(looked.get("near", 0)) if one["largest"] > _ONE_VECTOR * n else 0
    )
    return _Shares(name, n, unlike * each, share, int(looked.get("untold", 0)) * each)
