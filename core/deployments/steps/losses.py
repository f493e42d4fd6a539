"""How much may be gone from one side before it is deleted on the other one."""

#: A person looks first if more points than this are gone, and more than this share.
_FEW = 100
_SHARE = 0.1


def are_many_gone(gone: int, points: int) -> bool:
    """Returns whether so many of ``points`` are gone that the side that lacks them may be
    broken."""
    return gone > max(_FEW, _SHARE * points)
