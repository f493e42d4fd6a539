"""Remembers which ids a pass over a source has met, over any number of turns.

An id takes 8 bytes, in memory and in its row. If two ids have the same 8 bytes, a record that is
gone from the source stays; of a billion records that happens to one in forty runs.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.write_rows import SeenIds
from qdrant_rollouts.core.ports import PointId

_NUMBER = np.dtype("<u8")


class Seen:
    """The ids of the pieces before, and those of the piece that is under way."""

    def __init__(self, pieces: Iterable[bytes] = ()) -> None:
        arrays = [np.frombuffer(piece, dtype=_NUMBER) for piece in pieces]
        # A pass that lists ids and reads changes meets some of them twice.
        self._before: NDArray[np.uint64] = np.unique(np.concatenate(arrays or [_EMPTY]))
        self._now: set[int] = set()

    def __contains__(self, id: PointId) -> bool:
        number = _shorten(id)
        if number in self._now:
            return True
        at = int(np.searchsorted(self._before, np.uint64(number)))
        return at < len(self._before) and int(self._before[at]) == number

    def __len__(self) -> int:
        return len(self._before) + len(self._now)

    def add(self, id: PointId) -> None:
        self._now.add(_shorten(id))

    def as_bytes(self) -> bytes:
        """Returns the ids of the piece that is under way."""
        return np.array(sorted(self._now), dtype=_NUMBER).tobytes()


_EMPTY: NDArray[np.uint64] = np.zeros(0, dtype=_NUMBER)


def load_seen(session: Session, deployment_id: str, read: int) -> Seen:
    """Returns the ids among the first ``read`` records of the pass."""
    query = select(SeenIds.ids).where(SeenIds.deployment_id == deployment_id, SeenIds.after < read)
    return Seen(session.scalars(query))


def save_piece(session: Session, deployment_id: str, after: int, seen: Seen) -> None:
    """Writes the piece that was read after the first ``after`` records of the pass."""
    session.merge(SeenIds(deployment_id=deployment_id, after=after, ids=seen.as_bytes()))


def name_look(deployment_id: str) -> str:
    """Returns under what name ids are kept that a look before the pass has met. The pass keeps its
    own under the deployment's."""
    return f"{deployment_id}/look"


def forget_seen(session: Session, deployment_id: str) -> None:
    session.execute(delete(SeenIds).where(SeenIds.deployment_id == deployment_id))


def _shorten(id: PointId) -> int:
    digest = hashlib.blake2b(f"{type(id).__name__}{id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
