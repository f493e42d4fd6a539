"""The lease of a turn that was won: of a deployment's, or of a slice's.

Rule: whoever wins a turn adds one to ``turn`` in the row. The new number is the fence: what the
holder writes later is written only while the row still has that number.
"""

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Update, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from qdrant_rollouts.core.database.models import Deployment
from qdrant_rollouts.core.database.slice_rows import SliceRow
from qdrant_rollouts.core.errors import LeaseLost
from qdrant_rollouts.core.services import Services

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeldTurn:
    """Turn ``number`` of one row of ``table``. ``label`` names the row for people. ``save_state``
    returns the statement that saves the state of the work; its second argument says whether a piece
    of it is done. ``wanted``: what else must be true of the row for anything to be saved."""

    table: type[Deployment] | type[SliceRow]
    where: tuple[ColumnElement[bool], ...]
    number: int
    label: str
    save_state: Callable[[dict[str, Any], bool], Update]
    wanted: tuple[ColumnElement[bool], ...] = ()

    def fence(self, session: Session) -> None:
        """Locks the row for this transaction. Raises LeaseLost if the turn is no longer held, or
        not wanted."""
        mine = select(self.table.turn).where(*self.where, *self.wanted)
        found = session.scalar(mine.with_for_update())
        if found != self.number:
            raise LeaseLost(
                f"turn {self.number} of {self.label} was taken over: it is at {found} now"
            )


class Lease:
    """Renews a held turn from a thread while the work goes on. A step sees this object as its
    ``Turn``.

    The thread renews it every ``renew_every`` seconds, but not for longer than ``longest_lease``
    after the claim or after ``prolong``. It counts seconds of this process, because the database's
    clock may be set while the step works. ``check`` compares with a local monotonic deadline. That
    deadline is counted from the moment **before** each renewal was requested, so it is never later
    than the row's.

    ``after_save`` is called after each state that was saved; what it raises ends the turn.
    """

    def __init__(
        self, services: Services, held: HeldTurn, after_save: Callable[[], None] | None = None
    ) -> None:
        self._services = services
        self._held = held
        self._after_save = after_save
        self._started = time.monotonic()
        self._prolonged = 0.0
        self._deadline = self._started + services.times.lease
        self._stopped = threading.Event()
        # In the turn's context, so that what the thread logs is stored with the turn's lines.
        within = contextvars.copy_context()
        self._thread = threading.Thread(
            target=within.run, args=(self._keep_alive,), name=f"lease-{held.label}", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    @property
    def number(self) -> int:
        return self._held.number

    def check(self, seconds: float) -> None:
        left = self._deadline - time.monotonic()
        if left < seconds:
            raise LeaseLost(
                f"turn {self.number}: {left:.1f} s of the lease are left, {seconds:.0f} s are "
                "needed"
            )

    def prolong(self) -> None:
        self._prolonged = time.monotonic() - self._started

    def fence(self, session: Session) -> None:
        self._held.fence(session)

    def save(self, state: dict[str, Any], *, progress: bool = False) -> None:
        with self._services.sessions.begin() as session:
            self.save_within(session, state, progress=progress)
        if self._after_save is not None:
            self._after_save()

    def save_within(
        self, session: Session, state: dict[str, Any], *, progress: bool = False
    ) -> None:
        self.fence(session)
        session.execute(self._held.save_state(state, progress))

    def _keep_alive(self) -> None:
        while not self._stopped.wait(self._services.times.renew_every):
            try:
                renewed = self._extend_lease()
            except SQLAlchemyError as error:
                log.warning(
                    "lease of turn %s was not renewed: %s", self.number, type(error).__name__
                )
                continue
            if not renewed:
                return

    def _extend_lease(self) -> bool:
        asked = time.monotonic()
        times = self._services.times
        longest = self._prolonged + times.longest_lease
        left = min(times.lease, self._started + longest - asked)
        table = self._held.table
        with self._services.sessions.begin() as session:
            now = self._services.clock.now(session)
            statement = (
                update(table)
                .where(*self._held.where, table.turn == self.number)
                .values(lease_until=now + timedelta(seconds=left))
                .returning(table.turn)
            )
            if session.scalar(statement) is None:
                self._deadline = asked
                return False
        self._deadline = min(asked + times.lease, self._started + longest)
        return True
