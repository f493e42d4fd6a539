"""Remembers which ids a pass over a source has met, over any number of turns and in bounded memory.

Rule: an id takes 8 bytes, in memory and in its row. A piece of the pass appends one sorted run and
loads none. After the last piece the runs are merged once, range by range: that shows how many ids
there are, and whether one was met twice. Whoever needs more than that loads some ranges at a time.

If two ids have the same 8 bytes, they count as one that was met twice, and a record that is gone
from the source may stay; of a billion records that happens to one in forty runs.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.write_rows import SeenIds
from qdrant_rollouts.core.errors import Broken
from qdrant_rollouts.core.lifecycle import FINAL
from qdrant_rollouts.core.ports import PointId

_NUMBER = np.dtype("<u8")
_BYTES = _NUMBER.itemsize
_ALL = 1 << 64
#: Ids in a range, about, and ranges that are loaded at once: 4 MiB each.
RANGE_IDS = 1 << 19
RANGES_AT_ONCE = 4
#: Ids of runs that wait to be sorted into their range.
_WAITING_IDS = 1 << 17
Numbers = NDArray[np.uint64]
_NOTHING: Numbers = np.zeros(0, dtype=_NUMBER)


class MetIds:
    """The ids of the piece that is under way."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._known: set[int] = set()

    def __contains__(self, id: PointId) -> bool:
        return _shorten(id) in self._known

    def add(self, id: PointId) -> None:
        number = _shorten(id)
        self._numbers.append(number)
        self._known.add(number)

    def as_bytes(self) -> bytes:
        """Returns the sorted run. An id that was met twice is in it twice."""
        return np.sort(np.array(self._numbers, dtype=_NUMBER)).tobytes()


@dataclass(frozen=True, slots=True)
class MergedRange:
    """How many ids are in a range, and how many of them were met more than once."""

    ids: int
    repeated: int


@dataclass(frozen=True, slots=True)
class KnownIds:
    """All ids that were met and whose numbers are from ``low`` up to ``high``."""

    low: int
    high: int
    numbers: Sequence[Numbers]

    def find_unknown(self, ids: Sequence[PointId]) -> list[PointId]:
        """Returns those of ``ids`` that are in these ranges and were not met."""
        wanted = np.array([_shorten(id) for id in ids], dtype=_NUMBER)
        unknown = (wanted >= np.uint64(self.low)) & (wanted <= np.uint64(self.high - 1))
        for numbers in self.numbers:
            unknown &= ~_are_in(numbers, wanted)
        return [id for id, is_unknown in zip(ids, unknown, strict=True) if is_unknown]


# --- while the source is read ---------------------------------------------------------------------


def save_piece(session: Session, name: str, after: int, met: MetIds) -> None:
    """Writes the piece that was read after the first ``after`` records of the pass."""
    session.merge(SeenIds(deployment_id=name, after=after, ids=met.as_bytes()))


def find_met(session: Session, name: str, read: int, ids: Collection[PointId]) -> set[PointId]:
    """Returns those of ``ids`` that are among the first ``read`` records of the pass. Reads every
    run, one at a time, so it is for a few ids."""
    by_number = {_shorten(id): id for id in ids}
    wanted: Numbers = np.array(list(by_number), dtype=_NUMBER)
    found: set[PointId] = set()
    for run in _read_runs(session, name, read):
        found |= {by_number[int(number)] for number in wanted[_are_in(run, wanted)]}
    return found


def forget_seen(session: Session, name: str) -> None:
    """Removes everything that a pass and its look have met."""
    mine = (name, name_look(name), _name_merged(name))
    session.execute(delete(SeenIds).where(SeenIds.deployment_id.in_(mine)))


def forget_ended(session: Session) -> int:
    """Removes what passes of deployments that have ended have met. Returns of how many names."""
    names = session.scalars(select(SeenIds.deployment_id).distinct()).all()
    if not names:
        return 0
    ids = {name: name.partition("/")[0] for name in names}
    running = set(
        session.scalars(
            select(Deployment.id).where(
                Deployment.id.in_(set(ids.values())), Deployment.status.not_in(FINAL)
            )
        )
    )
    ended = [name for name, id in ids.items() if id not in running]
    session.execute(delete(SeenIds).where(SeenIds.deployment_id.in_(ended)))
    return len(ended)


def name_look(deployment_id: str) -> str:
    """Returns under what name ids are kept that a look before the pass has met. The pass keeps its
    own under the deployment's."""
    return f"{deployment_id}/look"


# --- when it is read ------------------------------------------------------------------------------


def count_ranges(session: Session, name: str, read: int) -> int:
    """Returns how many ranges the ids of the first ``read`` records have; at least one."""
    query = select(func.sum(func.length(SeenIds.ids)))
    size = session.scalar(query.where(SeenIds.deployment_id == name, SeenIds.after < read)) or 0
    return max(1, -(-int(size) // (_BYTES * RANGE_IDS)))


def merge_range(
    session: Session, name: str, read: int, place: int, ranges: int, *, keep: bool
) -> MergedRange:
    """Merges range number ``place`` of all runs. ``keep``: it will be loaded. May be repeated."""
    low, high = _find_bounds(place, ranges)
    merged = _NOTHING
    repeated = 0
    for waiting in _gather_waiting(session, name, read, low, high):
        together = np.concatenate([merged, *waiting])
        together.sort()
        first = np.ones(len(together), dtype=bool)
        np.not_equal(together[1:], together[:-1], out=first[1:])
        merged = together[first]
        repeated += len(together) - len(merged)
    if keep:
        row = SeenIds(deployment_id=_name_merged(name), after=place, ids=merged.tobytes())
        session.merge(row)
    return MergedRange(len(merged), repeated)


def load_known(session: Session, name: str, place: int, ranges: int) -> KnownIds:
    """Returns the ids of merged ranges from number ``place`` on, of ``RANGES_AT_ONCE`` at most."""
    last = min(place + RANGES_AT_ONCE, ranges) - 1
    query = select(SeenIds.ids).where(
        SeenIds.deployment_id == _name_merged(name), SeenIds.after.between(place, last)
    )
    rows = session.scalars(query.execution_options(yield_per=1))
    numbers = [np.frombuffer(row, dtype=_NUMBER) for row in rows]
    if len(numbers) != last - place + 1:
        raise Broken(f"the ids that {name} has met are not merged: {len(numbers)} ranges are there")
    return KnownIds(_find_bounds(place, ranges)[0], _find_bounds(last, ranges)[1], numbers)


def _gather_waiting(
    session: Session, name: str, read: int, low: int, high: int
) -> Iterator[list[Numbers]]:
    """Yields the part of each run that is in the range, some runs at a time."""
    waiting: list[Numbers] = []
    for run in _read_runs(session, name, read):
        begin = np.searchsorted(run, np.uint64(low))
        end = np.searchsorted(run, np.uint64(high - 1), side="right")
        waiting.append(run[begin:end].copy())
        if sum(map(len, waiting)) >= _WAITING_IDS:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _read_runs(session: Session, name: str, read: int) -> Iterator[Numbers]:
    query = select(SeenIds.ids).where(SeenIds.deployment_id == name, SeenIds.after < read)
    for row in session.scalars(query.order_by(SeenIds.after).execution_options(yield_per=4)):
        yield np.frombuffer(row, dtype=_NUMBER)


def _find_bounds(place: int, ranges: int) -> tuple[int, int]:
    return place * _ALL // ranges, (place + 1) * _ALL // ranges


def _are_in(numbers: Numbers, wanted: Numbers) -> NDArray[np.bool_]:
    """Returns which of ``wanted`` are in the sorted ``numbers``."""
    if not len(numbers):
        return np.zeros(len(wanted), dtype=bool)
    places = np.searchsorted(numbers, wanted)
    places[places == len(numbers)] = 0
    found: NDArray[np.bool_] = numbers[places] == wanted
    return found


def _name_merged(name: str) -> str:
    return f"{name}/merged"


def _shorten(id: PointId) -> int:
    digest = hashlib.blake2b(f"{type(id).__name__}{id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
