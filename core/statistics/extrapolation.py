"""From a sample to the whole: totals, and the interval in which they lie with 95 %.

Rule: an infinite end means that nothing is known on that side. What is known of all records is no
estimate, and its interval has no width.
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


def count_records(size: float, taken: Sequence[float]) -> Interval:
    """Returns how many records there are in ``size`` (bytes, rows), if those of the sample have
    ``taken`` so much of it each. The number is at least that of the sample. Raises ValueError for
    an empty sample, and for one that took nothing."""
    if not taken or sum(taken) <= 0:
        raise ValueError("a sample that took nothing of the source says nothing of its size")
    least = len(taken)
    each = mean_interval(taken, z=Z)
    fewest = size / each.high if math.isfinite(each.high) else 0.0
    most = size / each.low if each.low > 0 else math.inf
    return Interval(max(least, size / each.value), max(least, fewest), max(least, most))


def estimate_share(records: Interval, hits: int, of: int) -> Interval:
    """Returns how many of the records are like ``hits`` ``of`` the sample (Wilson's interval). If
    the sample is all of them, it is exact."""
    if records == exactly(of):
        return exactly(hits)
    return multiply(records, share_interval(hits, of, z=Z))


def estimate_sum(number: Interval, sample: Sequence[float], *, complete: bool = False) -> Interval:
    """Returns the sum over ``number`` things of which the sample shows some; if it shows all of
    them (``complete``), their exact sum. Raises ValueError for an empty sample."""
    if complete:
        return exactly(math.fsum(sample))
    mean = mean_interval(sample, z=Z)
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
