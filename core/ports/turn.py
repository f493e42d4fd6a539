"""The clock and the turn that a step works with."""

from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.orm import Session

#: The JSON that a step keeps between its turns, and its output.
State = dict[str, Any]


class Clock(Protocol):
    def now(self, session: Session) -> datetime:
        """The database server's time, UTC; never a worker's own."""

    def stamp(self, connection: Connection) -> Any:
        """The same as a value for a statement to write: with a server it is not asked for first."""


class Turn(Protocol):
    """The claim under which a step works."""

    def save(self, state: dict[str, Any], *, progress: bool = False) -> None:
        """Persists the step's state now. Raises LeaseLost if the turn was taken away.

        ``progress`` says that a piece of work is done and need not be repeated: workers that died
        before it do not count against the step any more."""

    def save_within(self, session: Session, state: dict[str, Any]) -> None:
        """The same in a transaction that also writes something else."""

    def check(self, seconds: float) -> None:
        """Raises LeaseLost unless the lease lasts ``seconds`` more. Call this before an effect
        that a late repeat would spoil."""

    def prolong(self) -> None:
        """Restarts the longest time that a turn may last. It is for the one act that cannot be cut
        into turns, which calls it after each progress. Without progress the turn is lost as
        usual."""

    def fence(self, session: Session) -> None:
        """Keeps the turn ours until this transaction ends. Raises LeaseLost if it was taken
        away."""

    @property
    def number(self) -> int: ...
