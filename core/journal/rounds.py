"""A round of catch-up: the points that were written are read again from the leader, and the
follower gets what they are now.

Rule: a write is retired only after a look at its points that began after it had ended, and only one
round at a time writes to the follower. So what is written is never older than what is there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from sqlalchemy.orm import Session

from qdrant_rollouts.core.errors import AppError, Limited, Refused, Unavailable
from qdrant_rollouts.core.journal.bounds import BOUNDS, Bounds
from qdrant_rollouts.core.journal.ledger import Ledger, Selection
from qdrant_rollouts.core.journal.running import Steps
from qdrant_rollouts.core.ports import Point, PointId

#: The seconds that a write to the follower may take; a turn must last longer.
_SEND_SECONDS = 10.0


class Points(Protocol):
    """What a round needs of a vector store; every write returns when it is applied."""

    def fetch(self, collection: str, ids: Sequence[PointId], *, vectors: bool) -> list[Point]: ...

    def upsert(self, collection: str, points: Sequence[Point]) -> None: ...

    def delete(self, collection: str, ids: Sequence[PointId]) -> None: ...

    def await_writes(self, collection: str) -> None:
        """Returns when every write that the server took before is applied."""

    def count(self, collection: str) -> int: ...


class Claim(Protocol):
    """The part of a turn that a round needs; see ``core.ports.Turn``."""

    def check(self, seconds: float) -> None: ...

    def fence(self, session: Session) -> None: ...


#: Makes the follower's points of the leader's; a point that is left out is deleted there.
MakePoints = Callable[[Sequence[Point]], Sequence[Point]]


@dataclass(frozen=True, slots=True)
class Catcher:
    """Who catches up with what: the alias, where its journal and points are, how the follower's
    points are made, and the turn under which it is done."""

    alias: str
    ledger: Ledger
    store: Points
    make_points: MakePoints
    turn: Claim
    bounds: Bounds = BOUNDS


@dataclass(frozen=True, slots=True)
class Round:
    """What a round did: how many writes it retired, and the ids it wrote or deleted. ``quiet``: it
    did nothing, because nothing may be written to the follower for so many seconds."""

    retired: int = 0
    ids: tuple[PointId, ...] = ()
    quiet: float = 0.0


def round_steps(catcher: Catcher) -> Steps[Round]:
    """Yields the steps of one round. Raises what the store, ``make_points`` and a lost turn raise;
    after that nothing is retired, and the same round can be done again."""
    fence = catcher.turn.fence
    selection: Selection = yield partial(catcher.ledger.select_entries, catcher.alias, fence)
    if selection.quiet:
        return Round(quiet=selection.quiet)
    if not selection.entries:
        return Round()
    size = catcher.bounds.piece
    for start in range(0, len(selection.ids), size):
        yield from _copy_piece(catcher, selection, selection.ids[start : start + size])
    if selection.rest:
        entry = selection.entries[0]
        yield partial(catcher.ledger.shorten_entry, catcher.alias, entry, selection.rest, fence)
    else:
        yield partial(catcher.ledger.retire_entries, catcher.alias, selection.entries, fence)
    return Round(len(selection.entries), selection.ids)


def _copy_piece(catcher: Catcher, selection: Selection, ids: Sequence[PointId]) -> Steps[None]:
    """If the points cannot be made, those that are gone are deleted all the same."""
    leader = selection.state.leader
    found: list[Point] = yield partial(catcher.store.fetch, leader, ids, vectors=True)
    existing = {point.id for point in found}
    try:
        made: Sequence[Point] = yield partial(catcher.make_points, found)
    except AppError:
        gone = [one for one in ids if one not in existing]
        yield from _write_follower(catcher, selection, gone, ())
        raise
    kept = {point.id for point in made}
    gone = [one for one in ids if one not in kept]
    yield from _write_follower(catcher, selection, gone, made)


def _write_follower(
    catcher: Catcher, selection: Selection, gone: Sequence[PointId], made: Sequence[Point]
) -> Steps[None]:
    """Deletes and writes points. If a write has no usable answer, or its process dies, nothing more
    is written for the quarantine."""
    fence = catcher.turn.fence
    follower = selection.state.follower
    assert follower is not None
    # A turn that is lost after the mark would cost the quarantine.
    catcher.turn.check(_SEND_SECONDS)
    yield partial(catcher.ledger.begin_sending, catcher.alias, fence)
    try:
        if gone:
            yield partial(catcher.store.delete, follower, gone)
        if made:
            yield partial(catcher.store.upsert, follower, made)
    except (Limited, Refused):  # it was not applied
        yield partial(catcher.ledger.end_sending, catcher.alias, fence)
        raise
    except Unavailable:
        yield partial(catcher.ledger.hold_off, catcher.alias, fence)
        raise
    yield partial(catcher.ledger.end_sending, catcher.alias, fence)
