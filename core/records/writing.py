"""Sends a write of records to the collection that leads, by the protocol of the journal.

Rule: vectors are made for one collection, before the write gets its row, because a row must soon be
followed by its request. If another collection leads by then, nothing is sent, and the write is made
again for that one.

A write without a row goes to the collection that the alias shows, by the collection's own name, and
the alias is looked at before and after it. If it went by the alias, a switch in between would bring
vectors of the old model into the new collection.
"""

from collections.abc import Callable
from typing import Any

from qdrant_rollouts.core.answers.records import Written
from qdrant_rollouts.core.errors import (
    Busy,
    Limited,
    Misconfigured,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from qdrant_rollouts.core.journal.desk import WriterDesk
from qdrant_rollouts.core.journal.running import run_steps
from qdrant_rollouts.core.journal.writing import FindAlias, Resolve, Send, Sent, write_steps
from qdrant_rollouts.core.ports import VectorStore
from qdrant_rollouts.core.records.leaders import Index
from qdrant_rollouts.core.records.prepared_writes import PreparedWrite

#: How often a write is made again because another collection leads, or because others changed the
#: same records meanwhile.
_TRIES = 5
#: Seconds after which a collection that takes no writes for a moment may take them again.
_FROZEN_SECONDS = 1.0

#: Makes the write ready for a collection.
Prepare = Callable[[str], PreparedWrite]


class LeaderChanged(Exception):
    """``collection`` leads now, and the write was made for another one."""

    def __init__(self, collection: str) -> None:
        super().__init__(collection)
        self.collection = collection


def make_write(store: VectorStore, desk: WriterDesk, index: Index, prepare: Prepare) -> Written:
    """Returns what was done. Raises what ``prepare`` raises, before anything is written; Limited if
    the collection takes no writes now; OutcomeUnknown if the write must be repeated; Unavailable if
    it was not sent."""
    alias = index.alias
    collection = index.shown
    for _ in range(_TRIES):
        write = prepare(collection)
        if not write.ids:
            return write.answer
        try:
            run_steps(write_steps(desk, alias), RecordsCall(store, alias, write).take_step)
        except LeaderChanged as changed:
            collection = changed.collection
            continue
        if _is_settled(alias, write):
            return write.answer
    raise OutcomeUnknown(
        f"the write to {alias} was made {_TRIES} times, and each time another collection led or "
        "the same records had changed; repeat it"
    )


def _is_settled(alias: str, write: PreparedWrite) -> bool:
    try:
        return write.check()
    except Unavailable as error:
        raise OutcomeUnknown(
            f"the write to {alias} was applied, but could not be read again; repeat it: {error}"
        ) from error


class RecordsCall:
    """One write, made ready for one collection."""

    def __init__(self, store: VectorStore, alias: str, write: PreparedWrite) -> None:
        self._store = store
        self._alias = alias
        self._write = write

    def take_step(self, step: Any) -> Any:
        """Does a step of the write and returns its result. Raises LeaderChanged if the write must
        be made again."""
        match step:
            case Send(_, None):
                return self._send_without_row()
            case Send(collection) if collection != self._write.collection:
                # It has ended: nothing was sent.
                return Sent(ended=True, error=LeaderChanged(collection))
            case Send():
                return self._send_write()
            case Resolve(collection):
                if collection != self._write.collection:
                    raise LeaderChanged(collection)
                return self._write.ids
            case FindAlias():
                return True
            case _:
                return step()

    def _send_without_row(self) -> Sent:
        try:
            self._check_alias()
        except (LeaderChanged, Refused, Unavailable) as error:
            return Sent(ended=True, error=error)
        sent = self._send_write()
        if not sent.ended:
            return Sent(ended=False, error=self._unknown_outcome(sent.error))
        if sent.error is not None:
            return sent
        try:
            self._check_alias()
        except (LeaderChanged, Refused) as error:
            return Sent(ended=True, error=error)
        except Unavailable as error:
            return Sent(ended=True, error=self._unknown_outcome(error))
        return sent

    def _send_write(self) -> Sent:
        """Says what the answer means. A server that did not answer may still apply the write."""
        try:
            self._send_unfrozen()
        except (Refused, Limited, Busy, Misconfigured) as error:
            return Sent(ended=True, error=error)
        except Unavailable as error:
            return Sent(ended=False, error=error)
        return Sent(ended=True)

    def _send_unfrozen(self) -> None:
        """Qdrant refuses an upsert to a frozen collection as if the request were wrong. If the
        freeze is over by the time it is looked at, the write is sent once more."""
        try:
            self._write.send()
        except Refused:
            if self._store.limits(self._write.collection).upsert_max_batchsize == 0:
                raise Limited(
                    f"{self._alias} takes no writes for a moment, because it is being switched; "
                    "repeat the write",
                    _FROZEN_SECONDS,
                ) from None
            self._write.send()

    def _check_alias(self) -> None:
        """Raises LeaderChanged if the alias shows another collection."""
        shown = self._store.aliases().get(self._alias)
        if shown is None:
            raise Refused(f"alias {self._alias} was deleted while records were written to it")
        if shown != self._write.collection:
            raise LeaderChanged(shown)

    def _unknown_outcome(self, error: BaseException | None) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"the write to {self._alias} had no usable answer; it may or may not be applied; "
            f"repeat it: {error}"
        )
