"""Which answers have moved from one list to another.

Rule: equal scores have no order. A record that stands elsewhere only because of equal scores has
not moved; it is tied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qdrant_rollouts.core.ports import PointId

Kind = Literal["same", "up", "down", "tied", "only"]
#: Relative: float32 scores of one pair differ by this much between requests.
_TOLERANCE = 1e-6

#: Ids with their scores, best first.
Ranked = Sequence[tuple[PointId, float]]


@dataclass(frozen=True, slots=True)
class Move:
    """From the left list to the right one: ``left`` and ``right`` are the ranks from 1, None where
    the record is missing."""

    kind: Kind
    left: int | None
    right: int | None

    @property
    def mark(self) -> str:
        """Returns what is shown beside the record; readable without colour."""
        if self.left is None or self.right is None:
            return "only here"
        if self.kind in ("up", "down"):
            return mark_shift(self.left, self.right)
        return self.kind


def mark_shift(before: int, after: int) -> str:
    """Returns by how many ranks a record moved up or down: "↑2"."""
    return f"{'↑' if after < before else '↓'}{abs(before - after)}"


def compare_ranks(left: Ranked, right: Ranked) -> dict[PointId, Move]:
    """Returns the move of every record that is in one of the lists."""
    before = _spread_ranks(left)
    after = _spread_ranks(right)
    return {id: _find_move(before.get(id), after.get(id)) for id in [*before, *after]}


#: The rank of a record, and the first and last rank that it may have by its score.
_Spread = tuple[int, int, int]


def _find_move(left: _Spread | None, right: _Spread | None) -> Move:
    if left is None or right is None:
        return Move("only", left[0] if left else None, right[0] if right else None)
    kind: Kind = "up" if right[0] < left[0] else "down"
    if left[0] == right[0]:
        kind = "same"
    elif left[1] <= right[2] and right[1] <= left[2]:
        kind = "tied"
    return Move(kind, left[0], right[0])


def _spread_ranks(ranked: Ranked) -> dict[PointId, _Spread]:
    groups: list[list[tuple[PointId, int]]] = []
    best = 0.0
    for rank, (id, score) in enumerate(ranked, 1):
        if not groups or abs(best - score) > _TOLERANCE * max(1.0, abs(best)):
            groups.append([])
            best = score
        groups[-1].append((id, rank))
    return {id: (rank, group[0][1], group[-1][1]) for group in groups for id, rank in group}


def count_moves(moves: Mapping[PointId, Move]) -> dict[str, int]:
    """Returns how many records are on both sides, how many of those have moved, and how many are on
    one side only."""
    both = [move for move in moves.values() if move.kind != "only"]
    return {
        "both": len(both),
        "moved": sum(move.kind in ("up", "down") for move in both),
        "left_only": sum(move.right is None for move in moves.values()),
        "right_only": sum(move.left is None for move in moves.values()),
    }


def describe_counts(counts: Mapping[str, int], left: str, right: str) -> str:
    """Returns the sentence above two lists: "8 of 10 in both, 3 of them moved, 2
    only in live"."""
    both = counts["both"]
    most = both + max(counts["left_only"], counts["right_only"])
    if not most:
        return "Neither finds anything"
    parts = [f"{both} of {most} in both"]
    if both:
        parts.append(f"{counts['moved'] or 'none'} of them moved")
    for side, name in (("left_only", left), ("right_only", right)):
        if counts[side]:
            parts.append(f"{counts[side]} only in {name}")
    return ", ".join(parts)
