"""Which arm a user is in (section 1): a hash of the user, and ranges of it that only grow."""

import hashlib
from collections.abc import Sequence
from itertools import accumulate

from qdrant_rollouts.core.errors import Refused
from qdrant_rollouts.core.statistics.groups import GROUPS

#: Shares are integers of this unit, because a float must not decide which user gets what.
BASIS = 10_000
_HALF = BASIS // 2

Ranges = tuple[tuple[int, int], ...]


def bucket(salt: str, unit: str) -> int:
    """Returns 0 to 9 999, the same in every process and after every restart."""
    digest = hashlib.blake2b(f"{salt}:{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BASIS


def group_of_unit(salt: str, unit: str) -> int:
    """Returns the unit's group in a sketch, from another hash than its bucket, so that the groups
    of both arms are alike."""
    digest = hashlib.blake2b(f"group:{salt}:{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % GROUPS


def share_of(percentage: float) -> int:
    """Returns basis points. Raises Refused if it is not an integer number of them, or not a
    share."""
    points = round(percentage * 100)
    if not 0 <= percentage <= 100 or abs(percentage * 100 - points) > 1e-6:
        raise Refused(f"a share of {percentage:g} % is not a multiple of 0.01 from 0 to 100")
    return points


def canary_ranges(share: int) -> tuple[Ranges, Ranges]:
    """Returns the control's and the canary's buckets, half-open, for a canary of ``share`` basis
    points (section 9).

    The canary begins in the middle and wraps around at the end. The control begins at 0 and is as
    large; above one half it is empty, because no equally large control exists.
    """
    if not 0 <= share <= BASIS:
        raise Refused(f"a share of {share} basis points is not from 0 to {BASIS}")
    if share <= _HALF:
        return ((0, share),), ((_HALF, _HALF + share),)
    return (), ((_HALF, BASIS), (0, share - _HALF))


def weights_of(split: float) -> tuple[int, int]:
    """Returns the weights of control and treatment in basis points, where ``split`` (0 to 1) is the
    treatment's share. Raises Refused if they are not integers, and for an empty arm."""
    points = 0
    if abs(split) <= 1:
        points = round(split * BASIS)
    if not 0 < points < BASIS or abs(split * BASIS - points) > 1e-6:
        raise Refused(
            f"a split of {split:g} is not a multiple of 0.0001 between 0 and 1, such as 0.5"
        )
    return BASIS - points, points


def bucket_ranges(weights: Sequence[int], coverage: int = BASIS) -> Ranges:
    """Returns each arm's buckets, half-open. ``weights`` and ``coverage`` are basis points. Starts
    do not depend on coverage, so a larger one only adds units and no unit changes arm. Raises
    Refused for weights that do not sum to 10 000."""
    if any(weight % 1 or weight < 0 for weight in weights) or sum(weights) != BASIS:
        raise Refused(
            f"weights {list(weights)} are no whole basis points that sum to {BASIS}, as the shares "
            "of all arms do"
        )
    if coverage % 1 or not 0 <= coverage <= BASIS:
        raise Refused(
            f"a coverage of {coverage} basis points is not a whole number from 0 to {BASIS}"
        )
    starts = accumulate(weights, initial=0)
    return tuple(
        (start, start + weight * coverage // BASIS)
        for start, weight in zip(starts, weights, strict=False)
    )


def assign(salt: str, unit: str, ranges: Ranges) -> int | None:
    """Returns the index of the unit's arm; None is served by the control and not enrolled."""
    place = bucket(salt, unit)
    return next((arm for arm, (start, end) in enumerate(ranges) if start <= place < end), None)
