"""Who is in which arm (section 1): a hash of the user, and ranges of it that only grow."""

import hashlib

from core.errors import Refused
from core.tally import GROUPS

#: Shares are whole numbers of this: no float decides who is served what.
BASIS = 10_000
_HALF = BASIS // 2

Ranges = tuple[tuple[int, int], ...]


def bucket(salt: str, unit: str) -> int:
    """0 to 9 999, the same in every process and after every restart."""
    digest = hashlib.blake2b(f"{salt}:{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BASIS


def group(salt: str, unit: str) -> int:
    """The unit's group in a tally, of another hash than its bucket: the groups of both arms are alike."""
    digest = hashlib.blake2b(f"group:{salt}:{unit}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % GROUPS


def share_of(percentage: float) -> int:
    """In basis points. Raises Refused for what is no whole number of them, or not a share."""
    points = round(percentage * 100)
    if not 0 <= percentage <= 100 or abs(percentage * 100 - points) > 1e-6:
        raise Refused(f"a share of {percentage:g} % is no multiple of 0.01 from 0 to 100")
    return points


def canary_ranges(share: int) -> tuple[Ranges, Ranges]:
    """The control's and the canary's buckets, half-open, for a canary of ``share`` basis points (section 9).

    The canary begins in the middle and goes round when it passes the end; control begins at 0, is as large, and is
    empty above one half, where no even control exists.
    """
    if not 0 <= share <= BASIS:
        raise Refused(f"a share of {share} basis points is not from 0 to {BASIS}")
    if share <= _HALF:
        return ((0, share),), ((_HALF, _HALF + share),)
    return (), ((_HALF, BASIS), (0, share - _HALF))
