"""From a sample to the whole: totals, and the interval in which they lie with 95 %.

Rule: an infinite end means that nothing is known on that side. What is known of all records is no
estimate, and its interval has no width. Records beside each other are alike, so it is the places of
a sample that are counted and not its records: a sample of one place says nothing of the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qdrant_rollouts.core.statistics.intervals import Interval, mean_interval, share_interval

#: Two-sided 95 %.
Z = 1.96
#: From this share of embedded records on, embedding is what takes the time.
_MOSTLY = 0.5


@dataclass(frozen=True, slots=True)
class Measured:
    """What a deployment took to fill its collection: ``records``, of these ``texts`` that were
    embedded, in ``seconds``."""

    records: int
    texts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a sample: its ``records``, at least one, and how much of something (bytes, hits)
    they have together."""

    records: int
    amount: float


def exactly(value: float) -> Interval:
    return Interval(float(value), float(value), float(value))


def multiply(one: Interval, other: Interval) -> Interval:
    """Returns the product of two quantities that are not negative. Its interval is at least as wide
    as it must be, because both may be at the same end."""
    return Interval(
        one.value * other.value, _product(one.low, other.low), _product(one.high, other.high)
    )


def add(parts: Sequence[Interval]) -> Interval:
    """Returns the sum, with the sums of the ends."""
    return Interval(
        math.fsum(one.value for one in parts),
        sum(one.low for one in parts),
        sum(one.high for one in parts),
    )


def count_records(size: float, taken: Sequence[Place]) -> Interval:
    """Returns how many records there are in ``size`` (bytes, rows), if those of the sample have
    ``taken`` so much of it at each of its places, which may overlap. There are at least as many as
    at one place. Raises ValueError for an empty sample, and for one that took nothing."""
    if sum(one.amount for one in taken) <= 0:
        raise ValueError("a sample that took nothing of the source says nothing of its size")
    least = max(one.records for one in taken)
    each = mean_of_places(taken)
    fewest = size / each.high if math.isfinite(each.high) else 0.0
    most = size / each.low if each.low > 0 else math.inf
    return Interval(max(least, size / each.value), max(least, fewest), max(least, most))


def mean_of_places(places: Sequence[Place]) -> Interval:
    """Returns the amount of a record. The interval is that of a ratio (Cochran 1977, 2.11), by how
    much the places differ from each other. Raises ValueError for no place."""
    if not places:
        raise ValueError("no places: a mean needs one at least")
    value = math.fsum(one.amount for one in places) / sum(one.records for one in places)
    if len(places) == 1:
        return Interval(value, -math.inf, math.inf)
    half = _student(len(places) - 1) * math.sqrt(_ratio_variance(places, value))
    return Interval(value, value - half, value + half)


def estimate_share(records: Interval, hits: Sequence[Place]) -> Interval:
    """Returns how many of the records are like the ``hits`` of the sample. If the sample is all of
    them, it is exact."""
    number = math.fsum(one.amount for one in hits)
    of = sum(one.records for one in hits)
    if records == exactly(of):
        return exactly(number)
    return multiply(records, _share_of_places(hits, number / of))


def _share_of_places(hits: Sequence[Place], share: float) -> Interval:
    """Wilson's interval for as many independent records as say as much as these places (Korn &
    Graubard 1998). Where all records are alike, nobody knows how alike neighbours are, and each
    place counts as one record."""
    if len(hits) == 1:
        return Interval(share, 0.0, 1.0)
    of = float(len(hits))
    variance = _ratio_variance(hits, share)
    if 0 < share < 1:
        of = float(sum(one.records for one in hits))
        # The places can be more alike than chance would have them; that says nothing.
        of = min(of, share * (1 - share) / variance if variance else of)
        of *= (Z / _student(len(hits) - 1)) ** 2
    found = share_interval(share * of, of, z=Z)
    return Interval(share, found.low, found.high)


def _ratio_variance(places: Sequence[Place], value: float) -> float:
    number = len(places)
    squares = math.fsum((one.amount - value * one.records) ** 2 for one in places)
    return number / (number - 1) * squares / sum(one.records for one in places) ** 2


def _student(freedom: int) -> float:
    """Returns Student's t at 97.5 % (Abramowitz & Stegun 26.7.5), within 1 % from 3 degrees of
    freedom on."""
    z = Z
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def estimate_sum(
    number: Interval, sample: Sequence[float], *, complete: bool = False, spread: bool = True
) -> Interval:
    """Returns the sum over ``number`` things of which the sample shows some; if it shows all of
    them (``complete``), their exact sum. If it is not ``spread`` over them, the others may be
    anything. Raises ValueError for an empty sample."""
    if complete:
        return exactly(math.fsum(sample))
    mean = mean_interval(sample, z=Z)
    if not spread:
        mean = Interval(mean.value, 0.0, math.inf)
    return multiply(number, Interval(mean.value, max(0.0, mean.low), mean.high))


def estimate_seconds(
    before: Sequence[Measured], records: Interval, texts: Interval
) -> Interval | None:
    """Returns how long filling takes, at the pace of earlier deployments; None if they say nothing
    about it.

    Where most records are embedded, embedding takes the time; where few are, reading and writing
    do. A record whose vector is reused costs no more than one that is embedded. So if only
    deployments of the first kind are known, one of the second kind takes at least as long as its
    texts, and at most as long as if all its records were embedded.
    """
    embedding = [one.seconds / one.texts for one in before if _embeds_mostly(one)]
    reading = [
        one.seconds / one.records for one in before if one.records and not _embeds_mostly(one)
    ]
    mostly = texts.value >= _MOSTLY * records.value
    if mostly and embedding:
        return multiply(texts, _range_of(embedding))
    if not mostly and reading:
        return multiply(records, _range_of(reading))
    if mostly or not embedding:
        return None
    low = texts.low * min(embedding)
    high = _product(records.high, max(embedding))
    middle = (low + high) / 2 if math.isfinite(high) else low
    return Interval(middle, low, high)


def _embeds_mostly(one: Measured) -> bool:
    return one.texts > 0 and one.texts >= _MOSTLY * one.records


def _range_of(paces: Sequence[float]) -> Interval:
    """The least and the greatest; a single one says nothing about the spread."""
    value = math.fsum(paces) / len(paces)
    if len(paces) == 1:
        return Interval(value, 0.0, math.inf)
    return Interval(value, min(paces), max(paces))


def _product(one: float, other: float) -> float:
    """Nothing of something that may be infinite is nothing."""
    if not one or not other:
        return 0.0
    return one * other
