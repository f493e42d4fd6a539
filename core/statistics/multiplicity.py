"""With many metrics there are many chances to be wrong (section 6), so secondary metrics are
corrected together."""

from collections.abc import Sequence


def adjust(pvalues: Sequence[float | None]) -> list[float | None]:
    """Adjusted for the false discovery rate (Benjamini and Hochberg 1995), in the same order; None
    stays None and is not counted."""
    known = {place: p for place, p in enumerate(pvalues) if p is not None}
    adjusted = list(pvalues)
    lowest = 1.0
    for rank, place in enumerate(sorted(known, key=lambda place: -known[place])):
        lowest = min(lowest, known[place] * (len(known) / (len(known) - rank)))
        adjusted[place] = lowest
    return adjusted


def holm(pvalues: Sequence[float]) -> list[float]:
    """Adjusted so that the chance of any false result stays at alpha (Holm 1979), in the same
    order: for primaries of which each can win alone."""
    order = sorted(range(len(pvalues)), key=lambda place: pvalues[place])
    adjusted = [0.0] * len(pvalues)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(pvalues) - rank) * pvalues[place]))
        adjusted[place] = highest
    return adjusted
