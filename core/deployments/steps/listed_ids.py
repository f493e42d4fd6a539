"""Ids of points that people are told about: only the first of them, so that rows and messages stay
short."""

from collections.abc import Iterable
from itertools import chain, islice

from qdrant_rollouts.core.ports import PointId

_MOST = 20


def keep_first(*found: Iterable[PointId]) -> list[PointId]:
    """Returns the first of all ids that were found."""
    return list(islice(chain(*found), _MOST))


def join_ids(ids: Iterable[PointId]) -> str:
    return ", ".join(map(str, keep_first(ids)))
