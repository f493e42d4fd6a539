"""Messages: a knock asks a worker to take a turn, a notice tells a person something, and an
announcement tells search processes to read a route again."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Severity(StrEnum):
    INFO = "info"
    WARN = "warn"
    ERROR = "error"

    def reaches(self, least: "Severity") -> bool:
        order = list(Severity)
        return order.index(self) >= order.index(least)


@dataclass(frozen=True, slots=True)
class Knock:
    """A message that asks for a turn. It may be lost, late, doubled or reordered without harm.

    ``countdown``: seconds until the turn is due. ``again``: somebody may have knocked for this turn
    before. ``first``: the message goes before all that wait in its queue, if the broker can do
    that. ``long``: the turn may last longer than others. ``label`` is for people who watch Flower
    (celery-facts section 5). ``slice``: the turn is that of a slice of the step.
    """

    deployment_id: str
    turn: int
    step: str
    queue: str
    countdown: float = 0.0
    label: str = ""
    again: bool = False
    first: bool = False
    long: bool = False
    slice: int | None = None


class Knocker(Protocol):
    def __call__(self, knock: Knock) -> None:
        """Sends the knock, unless it is ``again`` and one for the same turn still waits. If the
        broker does not answer, that is only logged: the sweep knocks again. A knock that is not due
        yet is held where there is one clock, and is not sent where there are several: the sweep
        knocks for it when it is due."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to a person. ``id`` is the same however often it is sent. ``state``: a
    ``moment``, or a condition that has ``begun``, is ``lasting`` or ``resolved``; ``since`` is when
    it began, ``at`` when this was said."""

    id: str
    index: str
    what: str
    severity: Severity
    state: str
    at: datetime
    since: datetime
    text: str
    value: str
    bound: str
    actor: str
    reason: str
    next: str
    deployment_id: str | None

    @property
    def subject(self) -> str:
        resolved = ""
        if self.state == "resolved":
            resolved = "resolved: "
        return f"{self.index}: {resolved}{self.what}"

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The fields that are not empty, each with its title."""
        named = ("text", "value", "bound", "actor", "reason", "next")
        return [(name, str(getattr(self, name))) for name in named if getattr(self, name)]


class RouteChannel(Protocol):
    """Tells search processes that a route has changed. The message is only a hint. A process that
    misses it reads the route soon anyway."""

    def announce(self, alias: str) -> None:
        """Never raises: a failure is only logged."""

    def listen(self, heard: Callable[[str], None], stopped: threading.Event) -> None:
        """Calls ``heard`` with the alias at every announcement until ``stopped``, from a thread of
        its own; returns at once. An empty alias means that an announcement may have been missed."""


@dataclass(frozen=True, slots=True)
class AlertChannel:
    """``send`` returns when the outside has taken the notice. It raises Unavailable when that did
    not answer, and Refused when it said no or the channel cannot work. A call lasts no longer than
    half a minute."""

    kind: str
    least: Severity
    send: Callable[[Notice], None]
