"""One write of an application, step by step.

Rules, by the numbers of docs/notes/rebuild-protocol.md: a filter becomes ids first (W1); the row is
committed before the request is sent (W2); a request that is too late is not sent (W3); it goes to
the collection that leads, by its own name (W4); it is acknowledged only if its row was still under
way (W5); without a usable answer its outcome is unknown (W6).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from qdrant_rollouts.core.errors import OutcomeUnknown, Unavailable
from qdrant_rollouts.core.journal.desk import Passage, WriterDesk
from qdrant_rollouts.core.journal.ledger import Entry, Opened
from qdrant_rollouts.core.journal.running import Pause
from qdrant_rollouts.core.journal.states import WriteState
from qdrant_rollouts.core.ports import PointId


@dataclass(frozen=True, slots=True)
class Send:
    """Sends the write to ``collection``. With ``ids`` it selects these points, and waits until it
    is applied; otherwise it goes out as the application gave it."""

    collection: str
    ids: tuple[PointId, ...] | None = None


@dataclass(frozen=True, slots=True)
class Resolve:
    """Returns the ids of the points that the write selects in ``collection``."""

    collection: str


@dataclass(frozen=True, slots=True)
class FindAlias:
    """Returns whether Qdrant knows an alias of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a request. ``ended``: it can change nothing any more, whether it was applied or
    refused."""

    ended: bool
    result: Any = None
    error: BaseException | None = None


#: A step that is only called asks the database, which blocks.
WriteStep = Send | Resolve | FindAlias | Pause | Callable[[], Any]
WriteSteps = Generator[WriteStep, Any, Any]


def write_steps(desk: WriterDesk, alias: str) -> WriteSteps:
    """Yields the steps of a write and returns what Qdrant answered.

    Raises what Qdrant refused; OutcomeUnknown if the write must be repeated; Unavailable if it was
    not sent, because writes are closed for too long or because the database did not answer.
    """
    give_up = desk.clock() + desk.bounds.patience
    while True:
        entered = desk.admit_write(alias)
        if isinstance(entered, Passage):
            return (yield from _send_without_row(desk, entered))
        if entered is None:
            if not (yield from _renew_lease(desk, alias)):
                return _give_answer((yield Send(alias)))
        else:
            begun = yield from _begin_entry(desk, entered)
            if begun is not None:
                return (yield from _send_with_row(desk, begun))
        if desk.clock() >= give_up:
            raise Unavailable(
                f"writes to {alias} are closed for the end of a rebuild, for longer than "
                f"{desk.bounds.patience:g} s; the write was not sent; repeat it"
            )


@dataclass(frozen=True, slots=True)
class _Begun:
    """A write that has its row. ``asked``: when the row was asked for, by the desk's clock."""

    alias: str
    leader: str
    entry: Entry
    ids: tuple[PointId, ...]
    asked: float


def _begin_entry(desk: WriterDesk, entered: WriteState) -> Generator[WriteStep, Any, _Begun | None]:
    """Writes the row. Returns None if the write may not begin yet, or needs no row any more."""
    ids: tuple[PointId, ...] = yield Resolve(entered.leader)
    asked = desk.clock()
    opened = yield from _open_entry(desk, entered, ids)
    if opened.entry is not None:
        return _Begun(entered.alias, entered.leader, opened.entry, ids, asked)
    if opened.state is not None and opened.state.version == entered.version:
        yield Pause(desk.bounds.wait)
    else:
        # The points were selected in a collection that may not lead any more.
        yield desk.renew_lease
    return None


def _renew_lease(desk: WriterDesk, alias: str) -> Generator[WriteStep, Any, bool]:
    """Returns False if the database is away, and a rebuild can be under way for no such name."""
    try:
        yield desk.renew_lease
    except Unavailable as error:
        if not (yield FindAlias(alias)):
            return False
        raise Unavailable(
            f"the write to {alias} was not sent: the database could not be used for "
            f"{desk.bounds.lease:g} s, so it is not known whether a rebuild captures writes; "
            f"repeat it: {error}"
        ) from error
    return True


def _open_entry(
    desk: WriterDesk, known: WriteState, ids: tuple[PointId, ...]
) -> Generator[WriteStep, Any, Opened]:
    try:
        opened: Opened = yield partial(desk.ledger.open_entry, known, ids)
    except Unavailable as error:
        raise Unavailable(
            f"the write to {known.alias} was not sent: a rebuild captures writes, so each needs a "
            f"row, and the database did not answer; repeat it: {error}"
        ) from error
    return opened


def _send_without_row(desk: WriterDesk, passage: Passage) -> WriteSteps:
    sent = Sent(ended=False)
    try:
        sent = yield Send(passage.alias)
    finally:
        held = desk.end_write(passage, ended=sent.ended)
    if sent.error is not None or held:
        return _give_answer(sent)
    yield from _account_for(desk, passage)
    return sent.result


def _account_for(desk: WriterDesk, passage: Passage) -> Generator[WriteStep, Any, None]:
    """The lease ran out while the write was under way. It counts if no rebuild was announced
    meanwhile; otherwise it gets a row now, and must be repeated, because the alias may have been
    switched. Raises OutcomeUnknown."""
    lost = OutcomeUnknown(
        f"the write to {passage.alias} took longer than this process knew the state of its "
        "rebuild; it may be lost; repeat it"
    )
    try:
        yield desk.renew_lease
    except Unavailable as error:
        raise lost from error
    if desk.is_unchanged(passage):
        return
    entered = desk.admit_write(passage.alias)
    if isinstance(entered, Passage):
        desk.end_write(entered, ended=True)
    elif entered is not None:
        ids: Sequence[PointId] = yield Resolve(entered.leader)
        yield partial(desk.ledger.add_entry, passage.alias, ids)
    raise lost


def _send_with_row(desk: WriterDesk, begun: _Begun) -> WriteSteps:
    if desk.clock() - begun.asked > desk.bounds.send_within:
        yield partial(desk.ledger.mark_unknown, begun.entry)
        raise Unavailable(
            f"the write to {begun.alias} was not sent: this process stood still for longer than "
            f"{desk.bounds.send_within:g} s; repeat it"
        )
    sent: Sent = yield Send(begun.leader, begun.ids)
    try:
        settled = yield from _settle_entry(desk, begun, sent)
    except Unavailable as error:
        raise OutcomeUnknown(
            f"the write to {begun.alias} was sent, but the database did not answer; repeat it"
        ) from error
    if not sent.ended:
        raise OutcomeUnknown(
            f"the write to {begun.alias} had no usable answer while a rebuild captures writes; it "
            f"may or may not be applied; repeat it: {sent.error or sent.result}"
        ) from sent.error
    if not settled and sent.error is None:
        raise OutcomeUnknown(
            f"the answer to the write to {begun.alias} came so late that the write counts as lost; "
            "repeat it"
        )
    return _give_answer(sent)


def _settle_entry(desk: WriterDesk, begun: _Begun, sent: Sent) -> Generator[WriteStep, Any, bool]:
    """Returns whether the write may be acknowledged."""
    if not sent.ended:
        yield partial(desk.ledger.mark_unknown, begun.entry)
        return False
    settled: bool = yield partial(desk.ledger.settle_entry, begun.alias, begun.entry, begun.ids)
    return settled


def _give_answer(sent: Sent) -> Any:
    if sent.error is not None:
        raise sent.error
    return sent.result
