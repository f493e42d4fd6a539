"""What a step works by: the time, and the turn it holds."""

from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.orm import Session

#: What a step keeps between its turns, and hands on: JSON.
State = dict[str, Any]


class Clock(Protocol):
    def now(self, session: Session) -> datetime:
        """The database server's time, UTC; never a worker's own."""

    def stamp(self, connection: Connection) -> Any:
        """The same as a value for a statement to write: with a server it is not asked for first."""


class Turn(Protocol):
    """The claim a step works under."""

    def save(self, state: dict[str, Any], *, progress: bool = False) -> None:
        """Persists the step's state now. Raises LeaseLost if the turn was taken away.

        ``progress`` says that a piece of work is done that nobody has to do again: workers that
        died before it do not count against the step any more."""

    def check(self, seconds: float) -> None:
        """Raises LeaseLost unless the lease lasts ``seconds`` more. Call before an effect a late
        repeat would spoil."""

    def prolong(self) -> None:
        """The longest time that a turn may last counts from here. For the one act that cannot be
        cut into turns, each time that it has got on; whatever stands still loses its turn as
        ever."""

    def fence(self, session: Session) -> None:
        """Keeps the turn ours until this transaction ends. Raises LeaseLost if it was taken
        away."""

    @property
    def number(self) -> int: ...
