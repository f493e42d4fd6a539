"""Interleaving by team draft (section 10): one list from two, in which each click is a vote.

Two teams, control and treatment, pick in turn; a coin decides who begins a round. A round of two
picks from equal counts either gives each team one document, whoever begins, or it is not credited,
and neither is anything after it. So every position has an expected credit of exactly 0 over the
coins, whatever people click. Radlinski, Kurup and Joachims, CIKM 2008.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qdrant_rollouts.core.errors import Refused

#: What identifies a document: the key in its payload, not the id of a point.
Key = str | int
Team = Literal["control", "treatment"]
Coins = Sequence[int]


@dataclass(frozen=True, slots=True)
class Place:
    """One position of the list. ``team``: whose result is shown there; the control's in the common
    prefix."""

    document: Key
    team: Team
    credited: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """The list to serve. Not ``triggered``: both lists are the same, and the query does not
    count."""

    places: tuple[Place, ...]
    triggered: bool

    def to_json(self) -> dict[str, Any]:
        places = [[place.document, place.team, place.credited] for place in self.places]
        return {"places": places, "triggered": self.triggered}

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> "Draft":
        """Additional keys come from another release and are ignored."""
        places = tuple(
            Place(document, team, credited) for document, team, credited, *_ in written["places"]
        )
        return cls(places, written["triggered"])


def distinct_documents(keys: Iterable[Key]) -> tuple[Key, ...]:
    """The documents of ranked chunks, each at the rank of its first chunk."""
    return tuple(dict.fromkeys(keys))


def coins(experiment: str, query_id: str) -> Coins:
    """512 bits, most significant first, the same in every process: a page, a replay and a retry see
    one list."""
    digest = hashlib.blake2b(f"{experiment}:{query_id}".encode()).digest()
    return tuple(byte >> shift & 1 for byte in digest for shift in range(7, -1, -1))


def draft(control: Iterable[Key], treatment: Iterable[Key], coins: Coins, length: int) -> Draft:
    """``length`` documents of two ranked lists, best first; fewer if both hold fewer. A key counts
    at its first rank.

    ``coins``: one per round, 0 lets control begin and 1 treatment. A longer draft of the same lists
    and coins begins with the shorter one. Raises Refused for a length below 1 or more rounds than
    coins.
    """
    _check_length(coins, length)
    ours = distinct_documents(control)
    theirs = distinct_documents(treatment)
    shared = _common_prefix(ours, theirs)
    places = [Place(document, "control", False) for document in ours[:shared]]
    places += _draft_rounds(list(ours[shared:]), list(theirs[shared:]), coins, length - shared)
    return Draft(tuple(places[:length]), triggered=ours[:length] != theirs[:length])


def credit(draft: Draft, clicked: Iterable[Key]) -> tuple[int, int]:
    """``h``, clicked documents of the treatment minus those of the control, and its sign. A
    document counts once; one that is not credited, or not in the list, does not count."""
    wanted = set(clicked)
    votes = [place.team for place in draft.places if place.credited and place.document in wanted]
    h = votes.count("treatment") - votes.count("control")
    return h, (h > 0) - (h < 0)


def _check_length(coins: Coins, length: int) -> None:
    if length < 1:
        raise Refused(f"a draft of {length} documents: ask for at least 1")
    if length > 2 * len(coins):
        raise Refused(
            f"a draft of {length} documents from {len(coins)} coins: ask for at most "
            f"{2 * len(coins)}"
        )


def _common_prefix(ours: tuple[Key, ...], theirs: tuple[Key, ...]) -> int:
    same = 0
    while same < min(len(ours), len(theirs)) and ours[same] == theirs[same]:
        same += 1
    return same


def _draft_rounds(ours: list[Key], theirs: list[Key], coins: Coins, length: int) -> list[Place]:
    """The picks after the common prefix; both lists contain only documents that are not listed
    yet."""
    places: list[Place] = []
    tosses = iter(coins)
    while len(places) < length and (ours or theirs):
        if not (ours and theirs):
            team: Team = "treatment"
            if ours:
                team = "control"
            places += [Place(document, team, False) for document in ours or theirs]
            break
        credited = _is_contested(ours, theirs)
        order: tuple[Team, Team] = ("control", "treatment")
        if next(tosses):
            order = ("treatment", "control")
        for team in order:
            places += _pick_best(ours, theirs, team, credited)
    return places


def _is_contested(ours: list[Key], theirs: list[Key]) -> bool:
    """Whether each team will have something to pick, whoever begins: more than the other's next
    pick. If not, one list is empty after the round, so no later round is contested either."""
    return any(key != theirs[0] for key in ours) and any(key != ours[0] for key in theirs)


def _pick_best(ours: list[Key], theirs: list[Key], team: Team, credited: bool) -> list[Place]:
    """Removes and returns the team's best document that is not listed, from both lists; None if it
    has none."""
    own = ours if team == "control" else theirs
    if not own:
        return []
    best = own[0]
    for keys in (ours, theirs):
        if best in keys:
            keys.remove(best)
    return [Place(best, team, credited)]
