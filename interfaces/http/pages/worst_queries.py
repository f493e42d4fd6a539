"""The worst queries of a gate, with what became of each answer: it moved, was lost, or is new.

Rule: the places are those of the report. Unlike Ask both, it does not say of equal scores that they
have no order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_rollouts.core.operations.asking.moves import mark_shift


@dataclass(frozen=True, slots=True)
class Change:
    """``mark`` is short and readable without colour; ``words`` say the same to who does not see it.
    ``kind`` is same, moved, new or lost."""

    kind: str
    mark: str
    words: str


@dataclass(frozen=True, slots=True)
class Answer:
    rank: int
    record: str
    text: str
    score: float
    judged: bool
    change: Change


@dataclass(frozen=True, slots=True)
class Side:
    """The answers of one collection; None if nothing served then."""

    heading: str
    answers: Sequence[Answer] | None


@dataclass(frozen=True, slots=True)
class WorstQuery:
    """``summary`` counts the changes."""

    query: str
    loss: float
    summary: str
    sides: tuple[Side, Side]


_SAME = Change("same", "=", "at the same place")
_LOST = Change("lost", "lost", "not among the new answers")
_ALONE = Change("same", "", "")
_NEW = Change("new", "new", "not among live's answers")


def compare_worst(gate: Mapping[str, Any]) -> list[WorstQuery]:
    """Returns the worst queries of a report, the worst first."""
    return [_compare_query(one) for one in gate.get("worst", ())]


def _compare_query(one: Mapping[str, Any]) -> WorstQuery:
    relevant = frozenset(one["relevant"])
    places = {str(answer["id"]): rank for rank, answer in enumerate(one["green"], 1)}
    if one["live"] is None:
        green = [
            _describe_answer(answer, rank, relevant, _ALONE)
            for rank, answer in enumerate(one["green"], 1)
        ]
        summary = f"{len(green)} answers"
        return WorstQuery(
            one["query"], one["loss"], summary, (Side("Live", None), Side("New", green))
        )
    before = {str(answer["id"]): rank for rank, answer in enumerate(one["live"], 1)}
    live = [
        _describe_answer(answer, rank, relevant, _find_fate(answer, rank, places))
        for rank, answer in enumerate(one["live"], 1)
    ]
    green = [
        _describe_answer(answer, rank, relevant, _find_origin(answer, rank, before))
        for rank, answer in enumerate(one["green"], 1)
    ]
    sides = (Side("Live", live), Side("New", green))
    return WorstQuery(one["query"], one["loss"], _count_changes(live, green), sides)


def _find_fate(answer: Mapping[str, Any], rank: int, places: Mapping[str, int]) -> Change:
    """Returns what became of an answer of live."""
    place = places.get(str(answer["id"]))
    return _LOST if place is None else _describe_move(rank, place)


def _find_origin(answer: Mapping[str, Any], rank: int, before: Mapping[str, int]) -> Change:
    """Returns where an answer of the new collection was."""
    place = before.get(str(answer["id"]))
    return _NEW if place is None else _describe_move(place, rank)


def _describe_move(before: int, after: int) -> Change:
    moved = before - after
    if moved == 0:
        return _SAME
    steps = abs(moved)
    where = "up" if moved > 0 else "down"
    words = f"{steps} {'place' if steps == 1 else 'places'} {where}"
    return Change("moved", mark_shift(before, after), words)


def _describe_answer(
    answer: Mapping[str, Any], rank: int, relevant: frozenset[str], change: Change
) -> Answer:
    return Answer(
        rank,
        str(answer["record"]),
        answer["text"],
        answer["score"],
        str(answer["id"]) in relevant,
        change,
    )


def _count_changes(live: Sequence[Answer], green: Sequence[Answer]) -> str:
    counts = (
        (sum(answer.change.kind == "lost" for answer in live), "lost"),
        (sum(answer.change.kind == "new" for answer in green), "new"),
        (sum(answer.change.kind == "moved" for answer in green), "moved"),
    )
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "the same answers"
